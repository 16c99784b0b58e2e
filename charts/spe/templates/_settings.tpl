{{/* The file that SPE_CONFIG names: what the chart decides, then `config` over it. */}}
{{- define "spe.settings" -}}
{{- $ports := dict "portal" 9000 "internal" 9001 "health" 9009 -}}
{{- $own := dict
  "cluster" "kubernetes"
  "home" "/var/lib/spe"
  "run" "/run/spe"
  "listen" "0.0.0.0"
  "port" $ports.portal
  "internal_port" $ports.internal
  "health_port" $ports.health
  "hub_address" "http://hub:8081"
  "proxy_address" "http://proxy:8001"
  "internal_address" "http://portal-internal:9001"
-}}
{{- if .Values.checker.enabled -}}
{{- $_ := set $own "checker" "remote" -}}
{{- $_ := set $own "checker_address" "http://checker:9002" -}}
{{- end -}}
{{- if .Values.policies.existingConfigMap -}}
{{- $_ := set $own "policies" "/etc/spe/policies" -}}
{{- end -}}
{{- range $setting, $host := dict "portal_origin" .Values.hosts.portal "views_origin" .Values.hosts.views "hub_origin" .Values.hosts.notebooks -}}
{{- if $host -}}
{{- $_ := set $own $setting (printf "https://%s" $host) -}}
{{- end -}}
{{- end -}}
{{- $kubernetes := dict
  "instance" .Release.Namespace
  "release_namespace" .Release.Namespace
  "gate_image" (include "spe.image" (dict "root" . "image" .Values.gate.image))
  "notebook_image" (include "spe.image" (dict "root" . "image" .Values.notebook.image))
  "mirror" .Values.mirror.enabled
-}}
{{- if and .Values.intake.enabled .Values.image.digest -}}
{{- $_ := set $kubernetes "intake_image" (include "spe.image" (dict "root" . "image" .Values.image)) -}}
{{- end -}}
{{- $_ := set $own "kubernetes" $kubernetes -}}
{{- $all := mergeOverwrite $own (deepCopy .Values.config) -}}
{{- range $setting := list "portal_origin" "views_origin" "hub_origin" -}}
{{- if not (get $all $setting) -}}
{{- fail (printf "Say under which addresses people open the environment: hosts.portal, hosts.views and hosts.notebooks, or config.%s." $setting) -}}
{{- end -}}
{{- end -}}
{{- if eq (get $all "portal_origin") (get $all "views_origin") -}}
{{- fail "The views need another name than the portal: files of researchers are shown there, apart from the portal's cookies." -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}
