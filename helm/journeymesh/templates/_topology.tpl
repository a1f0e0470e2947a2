{{/* What follows from `calls`. */}}

{{/* The services that run, whole: what holds for each, and what they say otherwise. */}}
{{- define "journeymesh.services" -}}
{{- $running := dict -}}
{{- range $name, $own := .Values.services -}}
{{- if or (ne $name "archiver") $.Values.archive.url -}}
{{- $_ := set $running $name (mergeOverwrite (deepCopy $.Values.each) (deepCopy $own)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $running -}}
{{- end }}

{{/* Names of the services that call one. Takes services and name. */}}
{{- define "journeymesh.callers" -}}
{{- $callers := list -}}
{{- range $caller, $service := .services -}}
{{- if has $.name $service.calls }}{{ $callers = append $callers $caller }}{{ end -}}
{{- end -}}
{{- toJson $callers -}}
{{- end }}

{{/* What is outside and set up: peers and port by name. */}}
{{- define "journeymesh.outside" -}}
{{- $outside := dict -}}
{{- $policy := .Values.networkPolicy -}}
{{- if .Values.store.url -}}
{{- $port := include "journeymesh.port" (dict "url" .Values.store.url "default" "6379") -}}
{{- $_ := set $outside "store" (dict "peers" $policy.store "ports" (list $port)) -}}
{{- else -}}
{{- $valkey := include "journeymesh.selector" (dict "root" . "name" "valkey") | fromYaml -}}
{{- $_ := set $outside "store" (dict "peers" (list (dict "podSelector" (dict "matchLabels" $valkey))) "ports" (list "6379")) -}}
{{- end -}}
{{- $aws := dict "kinesis" (eq .Values.stream.kind "kinesis") "s3" (hasPrefix "s3://" .Values.archive.url) "bedrock" (eq .Values.help.languageModel.kind "bedrock") "ses" (eq .Values.help.email.kind "ses") "sns" (eq .Values.help.push.kind "sns") -}}
{{- range $name, $isUsed := $aws -}}
{{- if $isUsed }}{{ $_ := set $outside $name (dict "peers" $policy.aws "ports" (list "443")) }}{{ end -}}
{{- end -}}
{{- $ports := list -}}
{{- range list .Values.help.chat .Values.help.ticket -}}
{{- if eq .kind "webhook" }}{{ $ports = append $ports (include "journeymesh.port" (dict "url" .url "default" "443")) }}{{ end -}}
{{- end -}}
{{- if $ports }}{{ $_ := set $outside "webhooks" (dict "peers" $policy.webhooks "ports" (uniq $ports)) }}{{ end -}}
{{- toYaml $outside -}}
{{- end }}

{{/* Where traces go; empty: nowhere. */}}
{{- define "journeymesh.tracesEndpoint" -}}
{{- $name := include "journeymesh.fullname" . -}}
{{- if .Values.traces.endpoint -}}
{{- .Values.traces.endpoint -}}
{{- else if .Values.traces.collector.enabled -}}
http://{{ $name }}-collector:4317
{{- else if .Values.traces.jaeger.enabled -}}
http://{{ $name }}-jaeger:4317
{{- end -}}
{{- end }}

{{/* The Secret with the store's password; empty: none is needed. */}}
{{- define "journeymesh.storeSecret" -}}
{{- if .Values.store.password.secret -}}
{{- .Values.store.password.secret -}}
{{- else if not .Values.store.url -}}
{{- include "journeymesh.fullname" . }}-valkey
{{- end -}}
{{- end }}

{{/* Ends with one sentence where values do not go together. */}}
{{- define "journeymesh.check" -}}
{{- $v := .Values -}}
{{- if and $v.store.ca.secret (not (hasPrefix "rediss://" $v.store.url)) }}{{ fail "store.ca.secret needs a store.url that begins with rediss://." }}{{ end -}}
{{- $keeps := and (hasPrefix "file:" $v.archive.url) (ne $v.archive.accessMode "ReadWriteMany") -}}
{{- $archiver := mergeOverwrite (deepCopy $v.each) (deepCopy $v.services.archiver) -}}
{{- if and $keeps (or (gt (int $archiver.replicas) 1) $archiver.autoscaling.enabled) }}{{ fail "More than one archiver needs archive.accessMode ReadWriteMany, or an archive on S3." }}{{ end -}}
{{- if and (hasPrefix "file:" $v.archive.url) (ne $v.archive.url "file:///archive") }}{{ fail "archive.url must be file:///archive, where the volume is mounted, or s3://bucket/prefix." }}{{ end -}}
{{- if and (or (eq $v.stream.kind "kinesis") (hasPrefix "s3://" $v.archive.url) (eq $v.help.email.kind "ses") (eq $v.help.push.kind "sns")) (not $v.aws.region) }}{{ fail "Kinesis, S3, SES and SNS need aws.region." }}{{ end -}}
{{- if and (eq $v.help.email.kind "ses") (not $v.help.email.from) }}{{ fail "help.email.kind ses needs the sender's address in help.email.from." }}{{ end -}}
{{- range $name, $channel := dict "chat" $v.help.chat "ticket" $v.help.ticket -}}
{{- if and (eq $channel.kind "webhook") (not (hasPrefix "https://" $channel.url)) }}{{ fail (printf "help.%s.kind webhook needs an https address in help.%s.url." $name $name) }}{{ end -}}
{{- if and (eq $channel.kind "webhook") (not $v.help.webhookSecret.secret) }}{{ fail "Webhooks need the secret they are signed with: help.webhookSecret.secret." }}{{ end -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (or $v.ingress.enabled $v.route.enabled) (not $v.networkPolicy.clients) }}{{ fail "Who may call the gateway? Name the ingress controller's pods in networkPolicy.clients." }}{{ end -}}
{{- if and $v.ingress.enabled (not $v.ingress.host) }}{{ fail "ingress.enabled needs ingress.host." }}{{ end -}}
{{- if and $v.route.enabled (not $v.route.parents) }}{{ fail "route.enabled needs the Gateway in route.parents." }}{{ end -}}
{{- if and $v.keda.enabled (not $v.keda.prometheus) }}{{ fail "keda.enabled needs the address of Prometheus in keda.prometheus." }}{{ end -}}
{{- if and $v.keda.enabled (mergeOverwrite (deepCopy $v.each) (deepCopy $v.services.dispatcher)).autoscaling.enabled }}{{ fail "Dispatchers are scaled by keda or by services.dispatcher.autoscaling, not by both." }}{{ end -}}
{{- if and $v.traces.collector.enabled (not $v.traces.collector.exportTo) (not $v.traces.jaeger.enabled) }}{{ fail "traces.collector needs to know where to: traces.collector.exportTo, or traces.jaeger.enabled." }}{{ end -}}
{{- $external := $v.externalSecrets -}}
{{- if and $external.enabled (not $external.store.name) }}{{ fail "externalSecrets.enabled needs externalSecrets.store.name." }}{{ end -}}
{{- if and $external.enabled $external.storePassword.key (not $v.store.password.secret) }}{{ fail "externalSecrets.storePassword needs the name of the Secret to make: store.password.secret." }}{{ end -}}
{{- if and $external.enabled $external.webhookSecret.key (not $v.help.webhookSecret.secret) }}{{ fail "externalSecrets.webhookSecret needs the name of the Secret to make: help.webhookSecret.secret." }}{{ end -}}
{{- end }}

{{/* Egress to where names are resolved. */}}
{{- define "journeymesh.resolving" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}
