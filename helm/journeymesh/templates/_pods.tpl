{{/* Common to every pod of the release: the restricted profile of the Pod Security Standards, and scheduling. */}}

{{/* Takes root and name. */}}
{{- define "journeymesh.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with .root.Values.userId }}
  runAsUser: {{ int . }}
  runAsGroup: {{ int . }}
  fsGroup: {{ int . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pods.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "journeymesh.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Labels of a pod. The chart's version is not among them: it alone must not restart pods. Takes root and name. */}}
{{- define "journeymesh.podLabels" -}}
{{ include "journeymesh.selector" . }}
app.kubernetes.io/part-of: journeymesh
{{- with .root.Values.pods.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Spreads replicas over zones and nodes. Takes root and name. */}}
{{- define "journeymesh.spread" -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: {{ $.root.Values.pods.whenUnsatisfiable }}
  labelSelector:
    matchLabels:
      {{- include "journeymesh.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* Versions of the Secrets named in the values. Pods read these when they start, so that a changed Secret rolls them at the
next upgrade. Takes root and secrets. */}}
{{- define "journeymesh.secretVersions" -}}
{{- $versions := list -}}
{{- range .secrets -}}
{{- $found := lookup "v1" "Secret" $.root.Release.Namespace . -}}
{{- if $found }}{{ $versions = append $versions $found.metadata.resourceVersion }}{{ end -}}
{{- end -}}
{{- join "-" $versions -}}
{{- end }}
