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
GlanceImageUnexpectedMemberOffered  security
GlanceImageUnexpectedMembers        security
GlanceImageExposedByVisibility      security
GlanceImageNotShared                operations
GlanceImageMemberMissing            operations
GlanceImageMemberPendingTooLong     image-owners
GlanceImageMemberRejected           image-owners
GlanceImageMembersNearLimit         operations
GlanceImageNotFound                 operations
GlanceImageForbidden                operations
GlanceImageScrapeFailing            operations
GlanceImageWatcherBlind             operations
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

# An inhibited alert is never told resolved: these must not be.
if sed -n '/^inhibit_rules:/,/^receivers:/p' alertmanager.yml | grep target_matchers |
  grep -E 'GlanceImageUnexpected|GlanceImageExposed|GlanceInboundUnknown|GlanceImage\.|GlanceImage\[|Glance\.'; then
  complain 'an alert about access is inhibited'
fi
if grep 'equal:.*instance' alertmanager.yml | grep -Ev 'equal: \[job, instance\]'; then complain 'an inhibition about a cloud or an image is equal on instance'; fi

if [ "$bad" -eq 0 ]; then printf 'alertmanager.yml: %d alerts go where they should\n' "$(wc -w <<<"$alerts")"; fi
exit "$bad"
