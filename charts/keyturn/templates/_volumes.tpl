{{/* keyturn's volumes, for the pod's volumes. */}}
{{- define "keyturn.volumes" -}}
- name: keyturn-configuration
  configMap:
    name: {{ include "keyturn.fullname" . }}
# Good for Vault and for nothing else.
- name: keyturn-token
  projected:
    sources:
      - serviceAccountToken:
          audience: {{ .Values.vault.audience | quote }}
          expirationSeconds: 3600
          path: token
{{- if .Values.escrow.kubernetesSecret.name }}
# The API server's own, for the Secret with the copies of answers.
- name: keyturn-account
  projected:
    sources:
      - serviceAccountToken:
          expirationSeconds: 3600
          path: token
      - configMap:
          name: kube-root-ca.crt
          items:
            - { key: ca.crt, path: ca.crt }
      - downwardAPI:
          items:
            - path: namespace
              fieldRef: { fieldPath: metadata.namespace }
{{- end }}
- name: keyturn-socket
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- if eq .Values.escrow.volume "emptyDir" }}
# On disk, and without a limit: a pod that is over its limit is evicted, and its answers with it.
- name: keyturn-escrow
  emptyDir: {}
{{- end }}
{{- with .Values.vault.authority }}
{{- if .configMap }}
- name: keyturn-authority
  configMap:
    name: {{ .configMap }}
    items:
      - key: {{ .key }}
        path: ca.crt
{{- end }}
{{- end }}
{{- if eq .Values.mode "shared" }}
{{ include "keyturn.tlsVolume" . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The escrow's claims, for a StatefulSet's volumeClaimTemplates; nothing where it is an emptyDir. */}}
{{- define "keyturn.volumeClaimTemplates" -}}
{{- if eq .Values.escrow.volume "claim" -}}
- metadata:
    name: keyturn-escrow
    labels:
      {{- include "keyturn.selector" . | nindent 6 }}
    annotations:
      # Whose files are in it. A StatefulSet's claims cannot be changed, so no upgrade takes the escrow from keyturn.
      keyturn/user: {{ .Values.user | int64 | quote }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .Values.escrow.claim.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ .Values.escrow.claim.size }}
{{- end }}
{{- end }}

{{- define "keyturn.tlsVolume" -}}
- name: keyturn-tls
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ .Values.shared.tls.secretName }}
          items:
            - { key: tls.crt, path: tls.crt }
            - { key: tls.key, path: tls.key }
      {{- with .Values.shared.tls.clientAuthoritySecretName }}
      - secret:
          name: {{ . }}
          items:
            - { key: ca.crt, path: ca.crt }
      {{- end }}
{{- end }}
