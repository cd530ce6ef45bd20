{{/* The pod of the shared form. */}}
{{- define "keyturn.sharedPod" -}}
serviceAccountName: {{ include "keyturn.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  # New claims and the certificate's files belong to this group. Only their top is changed: the escrow directory below
  # is keyturn's alone, and is refused if its group may enter it.
  fsGroup: {{ .Values.user | int64 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
containers:
  {{- include "keyturn.container" (dict "keyturn" . "readiness" true "native" false) | nindent 2 }}
  {{- with .Values.shared.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  {{- include "keyturn.volumes" . | nindent 2 }}
{{- with .Values.shared.topologyKey }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "keyturn.selector" $ | nindent 8 }}
{{- end }}
{{- with .Values.shared.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- range $field := list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" }}
{{- with get $.Values.shared $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
