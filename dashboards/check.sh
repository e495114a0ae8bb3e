#!/usr/bin/env bash
# Checks the alert rules, their tests, that the tests notice a broken rule, the runbooks and alertmanager.yml. As arguments
# it takes any number of promtools, of different releases; without one, $PROMTOOL or the promtool of the PATH. Beside each is a
# prometheus, which runs the dashboard's queries.
#
#     AMTOOL=amtool ./check.sh /usr/bin/promtool ./prometheus-3/promtool
#
# The mutations run with the last promtool alone, and take an hour. MUTATIONS=84 runs so many of them, MUTATIONS=0 none, and
# both leave out two of the four pairs of intervals.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
[ $# -gt 0 ] || set -- "${PROMTOOL:-promtool}"

for promtool; do
  printf -- '-- %s: %s\n' "$promtool" "$("$promtool" --version 2>&1 | head -1)"
  "$promtool" check rules alerts.rules.yml
  "$promtool" test rules alerts.records.test.yml alerts.test.yml alerts.gaps.test.yml alerts.inbound.test.yml alerts.faults.test.yml
  PROMETHEUS=$(dirname "$(command -v "$promtool")")/prometheus go test -count=1 -run TestPanels .
done

printf -- '-- runbooks\n'
bad=0
alerts=$(sed -n 's/^ *- alert: //p' alerts.rules.yml)
for alert in $alerts; do
  grep -qx "## $alert" runbooks.md || { echo "runbooks.md: no section $alert" >&2; bad=1; }
  grep -q "alertname: $alert\$" alerts.test.yml alerts.inbound.test.yml alerts.faults.test.yml || { echo "alerts.*test.yml: no test of the text of $alert" >&2; bad=1; }
done
for section in $(sed -n 's/^## \(Glance.*\)$/\1/p' runbooks.md); do
  grep -q "alert: $section\$" alerts.rules.yml || { echo "runbooks.md: there is no alert $section" >&2; bad=1; }
done
[ "$bad" -eq 0 ] || exit 1
printf '%d alerts have a section\n' "$(wc -w <<<"$alerts")"

printf -- '-- alertmanager.yml\n'
./check-alertmanager.sh

printf -- '-- other intervals, and histories\n'
short=(-short) # two of the four pairs of intervals
[ -n "${MUTATIONS:-}" ] || short=()
PROMTOOL=$promtool go test -count=1 -timeout 40m "${short[@]}" -run 'TestVariants|TestHistories|TestLateResults' .

if [ "${MUTATIONS:-1}" != 0 ]; then
  printf -- '-- mutations\n'
  PROMTOOL=$promtool ./mutate-rules.py
fi
