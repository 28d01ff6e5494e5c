# SPDX-License-Identifier: Apache-2.0
#
# bash completion of shmbrokerctl(1). Names of regions come from the broker that the line names.

_shmbrokerctl_columns() {
        # The columns of list, or of who, as --help prints them.
        shmbrokerctl --help 2>/dev/null | sed -n "/^Columns of $1 /,/^\$/s/^ [* ]\([A-Z_]*\) .*/\1/p"
}

_shmbrokerctl_list() {
        # One word of a list that is separated by commas, perhaps with a + before it.
        local words=$1 word=${cur##*,} before
        before=${cur%"$word"}
        if [[ -z $before && $word == +* ]]; then
                before=+
                word=${word#+}
        fi
        mapfile -t COMPREPLY < <(compgen -P "$before" -W "$words" -- "${word^^}")
        # Perhaps another column follows. (Fails where no completion is going on: in a test.)
        compopt -o nospace 2>/dev/null || true
}

_shmbrokerctl() {
        local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
        local command='' word i
        local -a socket=()
        local common='--socket --help --version'
        local table='--json --no-headings --output --output-all --bytes'

        for ((i = 1; i < COMP_CWORD; i++)); do
                word=${COMP_WORDS[i]}
                case $word in
                -s | --socket)
                        socket=(--socket "${COMP_WORDS[i + 1]}")
                        ((i++))
                        ;;
                -o | --output | --count | --timeout | --offset | --size | --capacity) ((i++)) ;;
                -*) ;;
                *) command=${command:-$word} ;;
                esac
        done

        COMPREPLY=()
        case $previous in
        -s | --socket)
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                return
                ;;
        -o | --output)
                if [[ $command == who ]]; then
                        _shmbrokerctl_list "$(_shmbrokerctl_columns who)"
                else
                        _shmbrokerctl_list "$(_shmbrokerctl_columns list)"
                fi
                return
                ;;
        --count | --timeout | --offset | --size | --capacity) return ;;
        esac

        if [[ $cur == -* ]]; then
                case $command in
                '') common+=" $table" ;;
                list | who) common+=" $table" ;;
                show | status) common+=' --json --bytes' ;;
                reload) common+=' --json --plan' ;;
                gc) common+=' --json --dry-run' ;;
                create) common+=' --size --capacity --exclusive' ;;
                events) common+=' --json --count --timeout' ;;
                push) common+=' --timeout --offset' ;;
                pop) common+=' --count --timeout --offset' ;;
                esac
                mapfile -t COMPREPLY < <(compgen -W "$common" -- "$cur")
                return
        fi

        case $command in
        '')
                mapfile -t COMPREPLY < <(compgen -W \
                        'list show who status check reload gc kick create remove events push pop' \
                        -- "$cur")
                ;;
        show | who | remove | events | push | pop)
                mapfile -t COMPREPLY < <(compgen -W "$(shmbrokerctl "${socket[@]}" list \
                        --no-headings --output NAME 2>/dev/null)" -- "$cur")
                ;;
        kick)
                mapfile -t COMPREPLY < <(compgen -W "$(shmbrokerctl "${socket[@]}" who \
                        --no-headings --output LEASE 2>/dev/null)" -- "$cur")
                ;;
        check) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        esac
}

complete -F _shmbrokerctl shmbrokerctl
