#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tally.py FOLDER: what meson recorded about the tests of each build below FOLDER.

Names each test that failed or was skipped, the latter with its reason; the last line counts. A
build that broke off (FOLDER/NAME.broken) is one failure. Exits 0 only if something passed and
nothing failed.
"""

import collections
import json
import pathlib
import sys

MEANS = {
    'OK': 'passed', 'EXPECTEDFAIL': 'passed', 'SKIP': 'skipped', 'IGNORED': 'skipped',
    'FAIL': 'failed', 'TIMEOUT': 'failed', 'ERROR': 'failed', 'INTERRUPT': 'failed',
    'UNEXPECTEDPASS': 'failed',
}


def reason(record):
    """The last line of a skipped test that speaks of skipping, else its last line."""
    lines = ((record.get('stdout') or '') + (record.get('stderr') or '')).strip().splitlines()
    spoken = [line for line in lines if 'skip' in line.lower()]
    return (spoken or lines or ['no reason given'])[-1].strip()


def main(folder):
    counts, notes = collections.Counter(), []
    for broken in sorted(folder.glob('*.broken')):
        counts['failed'] += 1
        notes.append('failed: ' + broken.read_text().strip())
    for log in sorted(folder.glob('*/meson-logs/testlog.json')):
        build = log.parent.parent.name
        for line in log.read_text().splitlines():
            record = json.loads(line)
            outcome = MEANS.get(record['result'], 'failed')
            counts[outcome] += 1
            if outcome == 'failed':
                notes.append(f'failed: {build}: {record["name"]} ({record["result"]})')
            elif outcome == 'skipped':
                notes.append(f'skipped: {build}: {record["name"]}: {reason(record)}')
    print('\n'.join(sorted(notes)))
    print(f'{counts["passed"]} passed, {counts["failed"]} failed, {counts["skipped"]} skipped')
    return 0 if counts['passed'] and not counts['failed'] else 1


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1])))
