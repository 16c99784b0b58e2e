{{- define "spe.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels of everything. Context: dict root, component. */}}
{{- define "spe.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{ include "spe.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: spe
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{/* What a selector matches; never changes. */}}
{{- define "spe.selector" -}}
app.kubernetes.io/name: {{ include "spe.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The reference of an image. Context: dict root, image. */}}
{{- define "spe.image" -}}
{{- $image := required "an image needs a repository" .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $image .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "spe.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Pod Security "restricted", for every pod. Context: dict root, values. */}}
{{- define "spe.podSecurity" -}}
{{- $own := dict "runAsNonRoot" true "runAsUser" 1000 "runAsGroup" 1000 "fsGroup" 1000 "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (mergeOverwrite $own (default dict .values.podSecurityContext)) -}}
{{- end -}}

{{- define "spe.security" -}}
{{- $own := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "privileged" false "capabilities" (dict "drop" (list "ALL")) -}}
{{- toYaml (mergeOverwrite $own (default dict .values.securityContext)) -}}
{{- end -}}

{{/* What a pod template begins with. Context: dict root, component, values, account. */}}
{{- define "spe.podHead" -}}
serviceAccountName: {{ .account | default "default" }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "spe.pullSecrets" .root }}
securityContext:
  {{- include "spe.podSecurity" . | nindent 2 }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "spe.selector" . | nindent 8 }}
{{- end -}}

{{- define "spe.podLabels" -}}
{{ include "spe.labels" . }}
{{- with .values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The parts of a pod that reads the settings: the control plane's own. Context: dict root, values. */}}
{{- define "spe.controlEnv" -}}
- {name: SPE_CONFIG, value: /etc/spe/settings/settings.yaml}
- {name: SPE_CREDENTIALS, value: /etc/spe/credentials}
- {name: SPE_KEYS, value: /etc/spe/keys}
{{- if .root.Values.trust.existingConfigMap }}
- {name: SSL_CERT_FILE, value: /etc/spe/trust/ca.crt}
- {name: REQUESTS_CA_BUNDLE, value: /etc/spe/trust/ca.crt}
- {name: AWS_CA_BUNDLE, value: /etc/spe/trust/ca.crt}
- {name: VAULT_CACERT, value: /etc/spe/trust/ca.crt}
- {name: PGSSLROOTCERT, value: /etc/spe/trust/ca.crt}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "spe.controlMounts" -}}
- {name: settings, mountPath: /etc/spe/settings, readOnly: true}
- {name: credentials, mountPath: /etc/spe/credentials, readOnly: true}
- {name: keys, mountPath: /etc/spe/keys, readOnly: true}
- {name: home, mountPath: /var/lib/spe}
- {name: run, mountPath: /run/spe}
- {name: tmp, mountPath: /tmp}
{{- if .root.Values.trust.existingConfigMap }}
- {name: trust, mountPath: /etc/spe/trust, readOnly: true}
{{- end }}
{{- if .root.Values.policies.existingConfigMap }}
- {name: policies, mountPath: /etc/spe/policies, readOnly: true}
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "spe.controlVolumes" -}}
- name: settings
  configMap: {name: {{ .settings | default "settings" }}}
- name: credentials
  projected:
    defaultMode: 0440
    sources:
      {{- include "spe.credentialSources" . | nindent 6 }}
- name: keys
  secret: {secretName: {{ include "spe.tokens" .root }}, defaultMode: 0440}
- name: home
  {{- if and .root.Values.persistence.enabled (not .without) }}
  persistentVolumeClaim: {claimName: {{ .root.Values.persistence.existingClaim | default "home" }}}
  {{- else }}
  emptyDir: {sizeLimit: 2Gi}
  {{- end }}
- name: run
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
- name: tmp
  emptyDir: {sizeLimit: 2Gi}
{{- with .root.Values.trust.existingConfigMap }}
- name: trust
  configMap: {name: {{ . }}, items: [{key: {{ $.root.Values.trust.key | quote }}, path: ca.crt}]}
{{- end }}
{{- with .root.Values.policies.existingConfigMap }}
- name: policies
  configMap:
    name: {{ . }}
    items:
      - {key: roles.yaml, path: roles.yaml}
      - {key: rules.yaml, path: rules.yaml}
      {{- range $.root.Values.policies.disclosure }}
      - {key: {{ printf "disclosure.%s.yaml" . | quote }}, path: {{ printf "disclosure/%s.yaml" . | quote }}}
      {{- end }}
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Secrets that become settings: one file each, named like the setting. Context: dict root, owner, hook. Hooks run
before the chart's own Secrets are there, and have theirs. */}}
{{- define "spe.credentialSources" -}}
{{- $own := ternary "database-hook" "database" (not (empty .hook)) -}}
{{- $database := .root.Values.database -}}
{{- if and (not $database.existingSecret) (not $database.url) -}}
{{- fail "Say where the database is: database.existingSecret names a Secret with the URL of the application's account." -}}
{{- end -}}
- secret: {name: {{ $database.existingSecret | default $own }}, items: [{key: {{ ternary $database.existingSecretKey "url" (not (empty $database.existingSecret)) | quote }}, path: database_url}]}
{{- if .owner }}
{{- $owner := $database.owner -}}
{{- if and (not $owner.existingSecret) (not $owner.url) -}}
{{- fail "Say who owns the tables: database.owner.existingSecret names a Secret with that account's URL, for the migrations alone; or set migrations.enabled to false and run `spe db upgrade` yourself." -}}
{{- end }}
- secret: {name: {{ $owner.existingSecret | default $own }}, items: [{key: {{ ternary $owner.existingSecretKey "owner-url" (not (empty $owner.existingSecret)) | quote }}, path: database_owner_url}]}
{{- end }}
{{- range .root.Values.credentials }}
- secret: {name: {{ .secretName }}, items: [{key: {{ .key | quote }}, path: {{ .setting | quote }}}]}
{{- end }}
{{- end -}}

{{- define "spe.tokens" -}}
{{- .Values.tokens.existingSecret | default "tokens" -}}
{{- end -}}

{{/* The account's token for the API server, where that pod asks it, and one for Vault, each for one audience. */}}
{{- define "spe.accountVolume" -}}
- name: account
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}
{{- end -}}

{{- define "spe.accountMount" -}}
- {name: account, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end -}}

{{- define "spe.vaultVolume" -}}
- name: vault
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {path: token, audience: spe-vault, expirationSeconds: 600}
{{- end -}}

{{- define "spe.vaultMount" -}}
- {name: vault, mountPath: /var/run/secrets/vault, readOnly: true}
{{- end -}}

{{- define "spe.checksums" -}}
checksum/settings: {{ include "spe.settings" . | sha256sum }}
{{- end -}}
