{{/* What keyturn has to reach: names, Vault and providers. For an application's own NetworkPolicy too. */}}
{{- define "keyturn.egress" -}}
{{- with .Values.egress -}}
- ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
- ports:
    - { protocol: TCP, port: {{ .vaultPort }} }
  {{- with .vault }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
- ports:
    {{- range .providerPorts }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
{{- if $.Values.escrow.kubernetesSecret.name }}
- ports:
    {{- range .kubernetesPorts }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
