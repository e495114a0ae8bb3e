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

{{- define "exporter.check" -}}
{{- $sources := compact (list .Values.config .Values.existingConfigMap (ternary "demo" "" .Values.demo)) -}}
{{- if ne (len $sources) 1 -}}
{{- fail "what is to be watched? Give exporter.yml by --set-file config=exporter.yml, or set one of existingConfigMap and demo: true" -}}
{{- end -}}
{{- $probed := include "exporter.clouds" (dict "config" .Values.config "via" "probe") -}}
{{- if and $probed .Values.serviceMonitor.enabled (not .Values.scrapeConfig.enabled) -}}
{{- fail (printf "nobody would scrape %s, which is scraped via probe: set scrapeConfig.enabled, or serviceMonitor.enabled to false and scrape by means of your own" $probed) -}}
{{- end -}}
{{- end -}}
