// For users of Jsonnet mixins: the same files as a mixin. There is no second copy of anything. To look at it:
//
//     go run github.com/google/go-jsonnet/cmd/jsonnet@v0.22.0 -e "(import 'mixin.libsonnet').prometheusAlerts"
local rules = std.parseYaml(importstr 'alerts.rules.yml');

{
  grafanaDashboards+:: { 'image-sharing.json': import 'image-sharing.json' },
  // One group, in this order: the alerts need what is recorded before them in the same evaluation.
  prometheusAlerts+:: rules,
  prometheusRules+:: {},
}
