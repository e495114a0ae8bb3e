// For users of Jsonnet mixins: alerts.rules.yml and image-sharing.json with what _config sets. To write the rules as YAML:
//
//     go run github.com/google/go-jsonnet/cmd/jsonnet@v0.22.0 -S -e 'std.manifestYamlDoc(
//       ((import "mixin.libsonnet") + {_config+:: {exporterURL: "https://images.example.com"}}).prometheusAlerts)'
{
  _config+:: {
    // The exporter's --web.external-url. It makes the annotations runbook_url and status_url; '' leaves them out.
    exporterURL: '',
    // The dashboard in your Grafana, such as https://grafana.example.com/d/glance-image-sharing. It makes dashboard_url; '' leaves it out.
    dashboardURL: '',
    // Selects the scrape job of the exporters.
    exporterSelector: 'job="glance"',
    // The scrape_timeout in seconds: GlanceExporterScrapeSlow fires at 80 % of it.
    scrapeTimeout: 30,
    // GlanceImageMemberPendingTooLong fires after so many days.
    pendingDays: 7,
    // GlanceImageMembersNearLimit fires above this part of members_limit, in percent.
    membersLimitPercent: 80,
    // GlanceAPIErrors fires above this part of the requests, in percent.
    apiErrorsPercent: 10,
  },

  local config = $._config,
  // What alerts.rules.yml has for the defaults, and what it is to have.
  local replacements = [
    ['7 * 86400', '%d * 86400' % config.pendingDays],
    ['7 days', '%d days' % config.pendingDays],
    [' > 0.8,', ' > %g,' % (config.membersLimitPercent / 100)],
    ['80 % of its', '%g %% of its' % config.membersLimitPercent],
    [' > 0.1\n', ' > %g\n' % (config.apiErrorsPercent / 100)],
    ['} > 24\n', '} > %g\n' % (config.scrapeTimeout * 0.8)],
    ['the 30 seconds', 'the %g seconds' % config.scrapeTimeout],
    ['job="glance"', config.exporterSelector],
  ],
  local replace(text, pair) =
    assert std.length(std.split(text, pair[0])) > 1 : 'alerts.rules.yml does not have ' + pair[0];
    std.strReplace(text, pair[0], pair[1]),
  local exporterURL = std.rstripChars(config.exporterURL, '/'),
  local links(alert) =
    (
      if exporterURL == '' then {} else {
        runbook_url: exporterURL + '/runbooks#' + std.asciiLower(alert),
        status_url: exporterURL + '/{{ with $labels.cloud }}?cloud={{ . | urlquery }}{{ end }}'
                    + '{{ with $labels.image_id }}&image={{ . | urlquery }}{{ end }}',
      }
    ) + (
      if config.dashboardURL == '' then {} else {
        dashboard_url: config.dashboardURL + '{{ with $labels.cloud }}?var-cloud={{ . | urlquery }}{{ end }}'
                       + '{{ with $labels.member_id }}&var-member={{ . | urlquery }}{{ end }}',
      }
    ),

  grafanaDashboards+:: { 'image-sharing.json': import 'image-sharing.json' },
  // One group, in this order: the alerts need what is recorded before them in the same evaluation.
  prometheusAlerts+:: {
    groups: [
      group { rules: [if 'alert' in rule then rule { annotations+: links(rule.alert) } else rule for rule in group.rules] }
      for group in std.parseYaml(std.foldl(replace, replacements, importstr 'alerts.rules.yml')).groups
    ],
  },
  prometheusRules+:: {},
}
