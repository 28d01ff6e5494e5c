# SPDX-License-Identifier: Apache-2.0
#
# bash completion of shmbrokerd(8).

_shmbrokerd() {
        local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}

        COMPREPLY=()
        case $previous in
        -c | --config) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        -r | --runtime-dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
        *)
                mapfile -t COMPREPLY < <(compgen -W \
                        '--config --runtime-dir --check --version --help' -- "$cur")
                ;;
        esac
}

complete -F _shmbrokerd shmbrokerd
