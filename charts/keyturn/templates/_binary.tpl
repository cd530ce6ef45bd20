{{/* Everything that this chart knows about keyturn's own command line and places is in this file. */}}

{{- define "keyturn.socketDirectory" -}}
/run/keyturn
{{- end }}

{{- define "keyturn.configurationDirectory" -}}
/etc/keyturn
{{- end }}

{{- define "keyturn.escrowVolumeDirectory" -}}
/var/lib/keyturn
{{- end }}

{{- define "keyturn.tokenDirectory" -}}
/var/run/secrets/keyturn
{{- end }}

{{- define "keyturn.accountDirectory" -}}
/var/run/secrets/keyturn-account
{{- end }}

{{- define "keyturn.authorityDirectory" -}}
/etc/keyturn-authority
{{- end }}

{{- define "keyturn.tlsDirectory" -}}
/etc/keyturn-tls
{{- end }}

{{- define "keyturn.port" -}}
7443
{{- end }}

{{- define "keyturn.metricsPort" -}}
9400
{{- end }}

{{- define "keyturn.runArguments" -}}
- run
- --config
- {{ include "keyturn.configurationDirectory" . }}/keyturn.yaml
{{- end }}

{{/* The command of a probe; the question is startup, live or ready. It asks on the Unix socket. */}}
{{- define "keyturn.probeCommand" -}}
exec:
  command: [/keyturn, health, --for, {{ . }}]
{{- end }}

{{/* The arguments with which the test pod asks the service. */}}
{{- define "keyturn.testArguments" -}}
- health
- --address
- https://{{ include "keyturn.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.shared.service.port }}
- --ca-file
- {{ include "keyturn.tlsDirectory" . }}/ca.crt
{{- if .Values.shared.tls.clientAuthoritySecretName }}
- --cert-file
- {{ include "keyturn.tlsDirectory" . }}/tls.crt
- --key-file
- {{ include "keyturn.tlsDirectory" . }}/tls.key
{{- end }}
{{- end }}

{{/* What the operator wrote, and what follows from where the chart puts things. */}}
{{- define "keyturn.configuration" -}}
{{ include "keyturn.fixedConfiguration" . }}
{{ toYaml .Values.config }}
{{- end }}

{{/* The part that follows from where the chart puts things; keyturn takes it up only at its start. */}}
{{- define "keyturn.fixedConfiguration" -}}
vault:
  address: {{ .Values.vault.address | quote }}
  auth:
    {{ .Values.vault.auth }}:
      role: {{ .Values.vault.role | quote }}
      {{- with .Values.vault.mount }}
      mount: {{ . | quote }}
      {{- end }}
      token_file: {{ include "keyturn.tokenDirectory" . }}/token
  record_prefix: {{ .Values.vault.recordPrefix | quote }}
  {{- with .Values.vault.namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  {{- if .Values.vault.authority.configMap }}
  ca_file: {{ include "keyturn.authorityDirectory" . }}/ca.crt
  {{- end }}
listen:
  unix:
    path: {{ include "keyturn.socketDirectory" . }}/keyturn.sock
    {{- /* Who mounts the volume may connect: containers of one pod seldom share a group. */}}
    mode: {{ ternary "0666" "0660" (eq .Values.mode "sidecar") | quote }}
  {{- if eq .Values.mode "shared" }}
  tcp:
    address: 0.0.0.0:{{ include "keyturn.port" . }}
    tls:
      cert_file: {{ include "keyturn.tlsDirectory" . }}/tls.crt
      key_file: {{ include "keyturn.tlsDirectory" . }}/tls.key
      {{- if .Values.shared.tls.clientAuthoritySecretName }}
      client_ca_file: {{ include "keyturn.tlsDirectory" . }}/ca.crt
      {{- end }}
      {{- with .Values.shared.tls.operators }}
      operators: {{ toJson . }}
      {{- end }}
  {{- end }}
  {{- with .Values.operators }}
  operators: {{ toJson . }}
  {{- end }}
escrow:
  {{- /* Below the mount, so that keyturn makes it itself and closes it to all others. */}}
  dir: {{ include "keyturn.escrowVolumeDirectory" . }}/escrow
  recipients: {{ toJson .Values.escrow.recipients }}
  {{- with .Values.escrow.kubernetesSecret.name }}
  kubernetes_secret:
    name: {{ . | quote }}
    account_dir: {{ include "keyturn.accountDirectory" $ }}
  {{- end }}
{{- if .Values.metrics.enabled }}
metrics:
  {{- if .Values.metrics.podMonitor.enabled }}
  listen: 0.0.0.0:{{ include "keyturn.metricsPort" . }}
  exposed: true
  {{- else }}
  listen: 127.0.0.1:{{ include "keyturn.metricsPort" . }}
  {{- end }}
{{- end }}
{{- with .Values.definitions }}
providers:
  {{- range $file, $text := . }}
  - {{ $file }}
  {{- end }}
{{- end }}
{{- end }}
