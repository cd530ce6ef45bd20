{{/* What a pod needs to have keyturn in it. The shared form uses these; an application's chart includes them. */}}

{{/* keyturn as a native sidecar, for the pod's initContainers; nothing where it is an ordinary container. */}}
{{- define "keyturn.initContainers" -}}
{{- if .Values.sidecar.native }}
{{- if semverCompare "<1.29-0" .Capabilities.KubeVersion.Version }}
{{- fail (printf "keyturn: a native sidecar needs Kubernetes 1.29, and this is %s; set sidecar.native to false" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- include "keyturn.container" (dict "keyturn" . "readiness" .Values.sidecar.readiness "native" true) }}
{{- end }}
{{- end }}

{{/* keyturn as an ordinary container, for the pod's containers; nothing where it is a native sidecar. */}}
{{- define "keyturn.containers" -}}
{{- if not .Values.sidecar.native }}
{{- include "keyturn.container" (dict "keyturn" . "readiness" .Values.sidecar.readiness "native" false) }}
{{- end }}
{{- end }}

{{/* The place of keyturn's socket, for the application's volumeMounts. */}}
{{- define "keyturn.applicationVolumeMounts" -}}
- name: keyturn-socket
  mountPath: {{ include "keyturn.socketDirectory" . }}
  # Who can write here can put another socket in the place of keyturn's.
  readOnly: true
{{- end }}

{{/* For the annotations of the pod: its change restarts the pods where keyturn does not take a change up by itself. */}}
{{- define "keyturn.podAnnotations" -}}
{{- $config := ternary (omit .Values.config "credentials") .Values.config .Values.reload -}}
{{- $needs := list (include "keyturn.fixedConfiguration" .) $config .Values.definitions -}}
keyturn/configuration: {{ toJson $needs | sha256sum | trunc 16 | quote }}
{{- end }}

{{- define "keyturn.container" -}}
{{- with .keyturn -}}
- name: keyturn
  image: {{ include "keyturn.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    {{- include "keyturn.runArguments" . | nindent 4 }}
  {{- if $.native }}
  restartPolicy: Always
  {{- end }}
  {{- $monitored := and .Values.metrics.enabled .Values.metrics.podMonitor.enabled }}
  {{- if or (eq .Values.mode "shared") $monitored }}
  ports:
    {{- if eq .Values.mode "shared" }}
    - name: grpc
      containerPort: {{ include "keyturn.port" . }}
    {{- end }}
    {{- if $monitored }}
    - name: keyturn-metrics
      containerPort: {{ include "keyturn.metricsPort" . }}
    {{- end }}
  {{- end }}
  {{- /* The application of a native sidecar starts after this one. */}}
  startupProbe:
    {{- include "keyturn.probeCommand" "startup" | nindent 4 }}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 60
  livenessProbe:
    {{- include "keyturn.probeCommand" "live" | nindent 4 }}
    periodSeconds: 20
    timeoutSeconds: 10
    failureThreshold: 3
  {{- if $.readiness }}
  readinessProbe:
    {{- include "keyturn.probeCommand" "ready" | nindent 4 }}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  {{- end }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    {{- include "keyturn.securityContext" . | nindent 4 }}
  volumeMounts:
    - name: keyturn-configuration
      mountPath: {{ include "keyturn.configurationDirectory" . }}
      readOnly: true
    - name: keyturn-token
      mountPath: {{ include "keyturn.tokenDirectory" . }}
      readOnly: true
    {{- if .Values.escrow.kubernetesSecret.name }}
    - name: keyturn-account
      mountPath: {{ include "keyturn.accountDirectory" . }}
      readOnly: true
    {{- end }}
    - name: keyturn-socket
      mountPath: {{ include "keyturn.socketDirectory" . }}
    - name: keyturn-escrow
      mountPath: {{ include "keyturn.escrowVolumeDirectory" . }}
    {{- if .Values.vault.authority.configMap }}
    - name: keyturn-authority
      mountPath: {{ include "keyturn.authorityDirectory" . }}
      readOnly: true
    {{- end }}
    {{- if eq .Values.mode "shared" }}
    - name: keyturn-tls
      mountPath: {{ include "keyturn.tlsDirectory" . }}
      readOnly: true
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}

{{/* All that the restricted Pod Security Standard asks of a container, so that it fits into any pod. */}}
{{- define "keyturn.securityContext" -}}
runAsNonRoot: true
runAsUser: {{ .Values.user | int64 }}
runAsGroup: {{ .Values.user | int64 }}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}
