#!/usr/bin/env bash
# Checks alertmanager.yml, that every alert goes where it should, and that it speaks of no alert that doesn't exist.
#
#     AMTOOL=amtool ./check-alertmanager.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
amtool=${AMTOOL:-amtool}

"$amtool" check-config alertmanager.yml

# Alert: receivers.
routes='
GlanceImageUnexpectedMember         security
GlanceImageUnexpectedMembers        security
GlanceImageExposedByVisibility      security
GlanceImageLessVisibleThanExpected  operations
GlanceImageMemberMissing            operations
GlanceImageMemberPendingTooLong     image-owners
GlanceImageMemberRejected           image-owners
GlanceImageApprovalEnding           image-owners
GlanceImageMembersNearLimit         operations
GlanceImageVanishedUnexpected       security
GlanceImageNotRead                  operations
GlanceImageWatcherBlind             operations
GlanceViewNotProven                 operations
GlanceNothingWatched                security,operations
GlanceCloudUnreadable               security,operations
GlanceCloudDown                     security,operations
GlanceAPIUnauthorized               security,operations
GlanceAPIErrors                     operations
GlanceDiscoveryIncomplete           operations
GlanceExporterDown                  security,operations
GlanceExporterAbsent                security,operations
GlanceExporterScrapeSlow            operations
GlanceExporterConfigReloadFailed    operations
GlanceExporterLabelClash            operations
GlanceInboundUnknownOwner           security
GlanceInboundUnknownOwnerOffered    operations
GlanceInboundUnexpectedImages       operations
GlanceInboundImageVanished          operations
GlanceInboundIncomplete             operations
'
alerts=$(sed -n 's/^ *- alert: //p' alerts.rules.yml)
bad=0
complain() { printf 'alertmanager.yml: %s\n' "$*" >&2; bad=1; }

for alert in $alerts; do
  severity=$(grep -A20 "alert: $alert\$" alerts.rules.yml | sed -n 's/.*severity: \([a-z]*\).*/\1/p' | head -1)
  want=$(awk -v alert="$alert" '$1 == alert { print $2 }' <<<"$routes")
  if [ -z "$want" ]; then complain "write down in $0 where $alert goes"; continue; fi
  said=$("$amtool" config routes test --config.file=alertmanager.yml --verify.receivers="$want" \
    alertname="$alert" severity="$severity" cloud=prod image_id=1 job=glance 2>&1) ||
    complain "$alert ($severity) does not go to $want: $said"
done
for alert in $(awk '{ print $1 }' <<<"$routes") $(grep -o 'Glance[A-Za-z]*' alertmanager.yml | sort -u); do
  case $alert in Glance) continue ;; esac
  grep -q "alert: $alert" alerts.rules.yml || complain "there is no alert $alert"
done

# Alertmanager sends no "resolved" for an inhibited alert, and an inhibited alert is not sent at all. So each pair of source and
# target is written down here, and is all that there may be.
inhibitions='
GlanceCloudDown cloud GlanceCloudUnreadable
GlanceCloudDown cloud GlanceImageNotRead
GlanceCloudDown cloud GlanceImageWatcherBlind
GlanceCloudDown cloud GlanceViewNotProven
GlanceCloudDown cloud GlanceNothingWatched
GlanceCloudDown cloud GlanceDiscoveryIncomplete
GlanceCloudDown cloud GlanceInboundIncomplete
GlanceCloudDown cloud GlanceAPIErrors
GlanceViewNotProven,sees="members" cloud GlanceImageNotRead,reason="unproven"
GlanceExporterDown job,instance,exporter GlanceExporterScrapeSlow
'
# matches ALERT MATCHERS: whether a list of matchers, as the file has it, matches an alert by name.
matches() {
  local value
  value=$(sed -n 's/.*alertname=~\{0,1\}"\([^"]*\)".*/\1/p' <<<"$2")
  [ -n "$value" ] || return 0 # without a name, it matches every alert
  grep -qxE "$value" <<<"$1"
}
# others MATCHERS: the matchers beside the name.
others() { tr -d '[] ' <<<"$1" | tr ',' '\n' | sed -n '/^alertname=/!s/^/,/p' | tr -d '\n'; }
found=''
while IFS= read -r line; do
  case $line in
    *source_matchers:*) source=${line#*source_matchers: } ;;
    *target_matchers:*) target=${line#*target_matchers: } ;;
    *equal:*)
      equal=$(tr -d '[] ' <<<"${line#*equal:}")
      for s in $alerts; do
        matches "$s" "$source" || continue
        for t in $alerts; do
          if matches "$t" "$target"; then found+="$s$(others "$source") $equal $t$(others "$target")"$'\n'; fi
        done
      done ;;
  esac
done < <(sed -n '/^inhibit_rules:/,/^receivers:/p' alertmanager.yml)
if ! difference=$(diff <(grep . <<<"$inhibitions" | sort) <(grep . <<<"$found" | sort)); then
  complain "inhibitions, written down (<) and found (>):"$'\n'"$difference"
fi
for alert in GlanceImageUnexpectedMember GlanceImageUnexpectedMembers GlanceImageExposedByVisibility GlanceImageVanishedUnexpected GlanceInboundUnknownOwner; do
  if grep -q " $alert\b" <<<"$found"; then complain "$alert, about access, is inhibited"; fi
done

if [ "$bad" -eq 0 ]; then printf 'alertmanager.yml: %d alerts go where they should\n' "$(wc -w <<<"$alerts")"; fi
exit "$bad"
