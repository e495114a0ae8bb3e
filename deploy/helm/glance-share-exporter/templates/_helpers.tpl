{{- define "exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "exporter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "exporter.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "exporter.selector" -}}
app.kubernetes.io/name: {{ include "exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "exporter.labels" -}}
{{ include "exporter.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* The labels of ROOT's objects, and MORE, which has the last word. */ -}}
{{- define "exporter.labelsWith" -}}
{{- toYaml (mergeOverwrite (include "exporter.labels" .root | fromYaml) .more) -}}
{{- end -}}

{{- define "exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "exporter.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- /* The names of the clouds that are scraped VIA metrics or probe, as far as config tells. */ -}}
{{- define "exporter.clouds" -}}
{{- $names := list -}}
{{- $config := fromYaml .config -}}
{{- if hasKey $config "Error" -}}
{{- fail (printf "config: %s" $config.Error) -}}
{{- end -}}
{{- if kindIs "slice" $config.clouds -}}
{{- range $config.clouds -}}
{{- if and (kindIs "map" .) (eq (default "metrics" .scrape_via) $.via) -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- join ", " $names -}}
{{- end -}}

{{- /* Fails if there is a secret IN a part of config, which is AT a place in it. Whoever may read ConfigMaps would have it. */ -}}
{{- define "exporter.noSecret" -}}
{{- $at := .at -}}
{{- if kindIs "map" .in -}}
{{- range $key, $value := .in -}}
{{- $here := trimPrefix "." (printf "%s.%s" $at $key) -}}
{{- if and $value (eq $key "proxy_connect_header") -}}
{{- fail (printf "config: %s is a secret, and config becomes a ConfigMap: write proxy_from_environment: true instead, and HTTPS_PROXY with the password in extraEnv, from a Secret" $here) -}}
{{- end -}}
{{- if or (kindIs "map" $value) (and (kindIs "slice" $value) (ne $key "secrets")) -}}
{{- include "exporter.noSecret" (dict "in" $value "at" $here) -}}
{{- else if and $value (has $key (list "password" "secret" "secret_key" "token" "security_token" "credentials" "client_secret" "client_certificate_key" "bearer_token" "key" "secrets")) -}}
{{- $instead := printf "%s_file: /secrets/NAME/%s" $key $key -}}
{{- if eq $key "secrets" -}}{{- $instead = "files: [/secrets/NAME/KEY]" -}}{{- end -}}
{{- fail (printf "config: %s is a secret, and config becomes a ConfigMap: write %s instead, and the name of the Secret that has it under secrets" $here $instead) -}}
{{- else if and (eq $key "proxy_url") (regexMatch "://.*:.*@" (toString $value)) -}}
{{- fail (printf "config: %s has a password, and config becomes a ConfigMap: write proxy_from_environment: true instead, and HTTPS_PROXY or, for a cloud without TLS, HTTP_PROXY in extraEnv, from a Secret" $here) -}}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" .in -}}
{{- range $i, $value := .in -}}
{{- include "exporter.noSecret" (dict "in" $value "at" (printf "%s[%d]" $at $i)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The path of web.externalURL, before that of every page. */ -}}
{{- define "exporter.prefix" -}}
{{- (urlParse .Values.web.externalURL).path | trimSuffix "/" -}}
{{- end -}}

{{- define "exporter.check" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository: not set: build the image, push it to your registry, and set image.repository=REGISTRY/glance_share_exporter, see docs/install.md" -}}
{{- end -}}
{{- if (urlParse .Values.web.externalURL).userinfo -}}
{{- fail "web.externalURL: it has a user or a password, and every alert shows it: leave them out" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.web.externalURL) -}}
{{- fail "ingress.enabled: host and path are not known: set web.externalURL, such as https://monitoring.example.com/images" -}}
{{- end -}}
{{- $sources := compact (list .Values.config .Values.existingConfigMap (ternary "demo" "" .Values.demo)) -}}
{{- if ne (len $sources) 1 -}}
{{- fail "what is to be watched? Give exporter.yml by --set-file config=exporter.yml, or set one of existingConfigMap and demo: true" -}}
{{- end -}}
{{- range $key := list "port" "targetPort" "path" -}}
{{- if hasKey $.Values.serviceMonitor.endpoint $key -}}
{{- fail (printf "serviceMonitor.endpoint.%s: that is the Service's, which the chart makes: leave it out" $key) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "url" "refreshInterval" "jobName" "httpSDConfigs" "scheme" "scrapeInterval" "scrapeTimeout" -}}
{{- if hasKey $.Values.scrapeConfig.client $key -}}
{{- fail (printf "scrapeConfig.client.%s: the chart says that, of web.scheme and scrapeConfig.interval and the like: leave it out" $key) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "app.kubernetes.io/name" "app.kubernetes.io/instance" -}}
{{- if hasKey $.Values.podLabels $key -}}
{{- fail (printf "podLabels: the pods are selected by %s: leave it out, or set nameOverride" $key) -}}
{{- end -}}
{{- end -}}
{{- $probed := include "exporter.clouds" (dict "config" .Values.config "via" "probe") -}}
{{- include "exporter.noSecret" (dict "in" (omit (fromYaml .Values.config) "member_names") "at" "") -}}
{{- if and $probed .Values.serviceMonitor.enabled (not .Values.scrapeConfig.enabled) -}}
{{- fail (printf "nobody would scrape %s, which is scraped via probe: set scrapeConfig.enabled, or serviceMonitor.enabled to false and scrape by means of your own" $probed) -}}
{{- end -}}
{{- end -}}
