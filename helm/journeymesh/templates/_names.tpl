{{/* Names, labels and images of every object. */}}

{{- define "journeymesh.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Selects the pods of the release; must never change, because selectors of running workloads cannot. */}}
{{- define "journeymesh.instance" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Selects the pods of one component. Takes root and name. */}}
{{- define "journeymesh.selector" -}}
{{ include "journeymesh.instance" .root }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{/* Takes root and name. */}}
{{- define "journeymesh.labels" -}}
{{ include "journeymesh.selector" . }}
app.kubernetes.io/part-of: journeymesh
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Name, namespace and labels of an object. Takes root, name, and a suffix if the object's name is more than the component's. */}}
{{- define "journeymesh.metadata" -}}
name: {{ include "journeymesh.fullname" .root }}-{{ .name }}{{ .suffix | default "" }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "journeymesh.labels" . | nindent 2 }}
{{- end }}

{{/* An image of the mesh. Takes root and image. */}}
{{- define "journeymesh.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}/{{ .image }}:{{ $image.tag | default .root.Chart.AppVersion -}}
{{- end }}

{{/* The port in a URL, or the default. Takes url and default. */}}
{{- define "journeymesh.port" -}}
{{- regexFind ":[0-9]+$" (urlParse .url).host | trimPrefix ":" | default .default -}}
{{- end }}
