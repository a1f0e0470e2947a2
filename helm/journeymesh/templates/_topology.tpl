{{/* Everything that follows from `calls`. */}}

{{/* The services that run, each complete: the defaults in `each`, with the service's own values over them. */}}
{{- define "journeymesh.services" -}}
{{- $running := dict -}}
{{- range $name, $own := .Values.services -}}
{{- if or (not (has $name (list "archiver" "analytics"))) $.Values.archive.url -}}
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

{{/* The configured systems outside the mesh but for webhooks: peers and port by name. */}}
{{- define "journeymesh.outside" -}}
{{- $outside := dict -}}
{{- $policy := .Values.networkPolicy -}}
{{- if .Values.store.url -}}
{{- $ports := list -}}
{{- range splitList "," (regexReplaceAll "^[a-z+]+://([^/]*@)?|/.*$" .Values.store.url "") -}}
{{- $ports = append $ports (regexFind ":[0-9]+$" . | trimPrefix ":" | default "6379") -}}
{{- end -}}
{{- $_ := set $outside "store" (dict "peers" $policy.store "ports" (uniq $ports)) -}}
{{- else -}}
{{- $valkey := include "journeymesh.selector" (dict "root" . "name" "valkey") | fromYaml -}}
{{- $_ := set $outside "store" (dict "peers" (list (dict "podSelector" (dict "matchLabels" $valkey))) "ports" (list "6379")) -}}
{{- end -}}
{{- $aws := dict "kinesis" (eq .Values.stream.kind "kinesis") "s3" (hasPrefix "s3://" .Values.archive.url) "models" (not (empty .Values.models.url)) "bedrock" (eq .Values.help.languageModel.kind "bedrock") "ses" (eq .Values.help.email.kind "ses") "sns" (eq .Values.help.push.kind "sns") -}}
{{- range $name, $isUsed := $aws -}}
{{- if $isUsed }}{{ $_ := set $outside $name (dict "peers" $policy.aws "ports" (list "443")) }}{{ end -}}
{{- end -}}
{{- toYaml $outside -}}
{{- end }}

{{/* The ports of the webhooks that a service posts to, as JSON. Takes root and name. */}}
{{- define "journeymesh.webhookPorts" -}}
{{- $v := .root.Values -}}
{{- $urls := list -}}
{{- if eq .name "intervention" -}}
{{- range list $v.help.chat $v.help.ticket }}{{ if eq .kind "webhook" }}{{ $urls = append $urls .url }}{{ end }}{{ end -}}
{{- else if eq .name "analytics" -}}
{{- $urls = compact (list $v.insights.webhookUrl) -}}
{{- end -}}
{{- $ports := list -}}
{{- range $urls }}{{ $ports = append $ports (include "journeymesh.port" (dict "url" . "default" "443")) }}{{ end -}}
{{- uniq $ports | toJson -}}
{{- end }}

{{/* Where traces are sent; empty: nowhere. */}}
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

{{/* A quantity such as 384Mi, 0.5 or 50m as a number. */}}
{{- define "journeymesh.amount" -}}
{{- $units := dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "mb" 1048576 "gb" 1073741824 -}}
{{- $number := regexFind "^[0-9.]+" (toString .) -}}
{{- mulf (float64 $number) (float64 (get $units (trimPrefix $number (toString .)) | default 1)) -}}
{{- end }}

{{/* Fails with one sentence if a request exceeds its limit. Takes resources and name. */}}
{{- define "journeymesh.checkResources" -}}
{{- range $what := list "cpu" "memory" -}}
{{- $asked := dig "requests" $what "" $.resources -}}
{{- $most := dig "limits" $what "" $.resources -}}
{{- if and $asked $most (gt (include "journeymesh.amount" $asked | float64) (include "journeymesh.amount" $most | float64)) }}{{ fail (printf "%s.requests.%s is %s and so above %s.limits.%s, which is %s." $.name $what $asked $.name $what $most) }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Fails with one sentence if a single value is unusable. */}}
{{- define "journeymesh.checkEach" -}}
{{- $v := .Values -}}
{{- if regexMatch "://|/$|\\s" $v.image.registry }}{{ fail "image.registry is a host with a path, as registry.example.com/team: without https:// and without a slash at its end." }}{{ end -}}
{{- $inClear := "^rediss?(\\+cluster)?://[^@/]*:[^@/]+@|[?&]password=" -}}
{{- $advice := "holds a password, which then stands in clear in the pod: put it into a Secret and name that in store.password.secret." -}}
{{- if regexMatch $inClear $v.store.url }}{{ fail (printf "store.url %s" $advice) }}{{ end -}}
{{- range $name, $service := include "journeymesh.services" . | fromYaml -}}
{{- $path := printf "services.%s" $name -}}
{{- if lt (int $service.port) 1024 }}{{ fail (printf "%s.port is %d; ports below 1024 are for root, and no process here is." $path (int $service.port)) }}{{ end -}}
{{- include "journeymesh.checkResources" (dict "resources" $service.resources "name" (printf "%s.resources" $path)) -}}
{{- with $service.autoscaling }}{{ if gt (int .minReplicas) (int .maxReplicas) }}{{ fail (printf "%s.autoscaling.minReplicas is %d and so above maxReplicas, which is %d." $path (int .minReplicas) (int .maxReplicas)) }}{{ end }}{{ end -}}
{{- if regexMatch $inClear (get $service.environment "JOURNEYMESH_REDIS_URL" | default "") }}{{ fail (printf "%s.environment.JOURNEYMESH_REDIS_URL %s" $path $advice) }}{{ end -}}
{{- end -}}
{{- range $name, $resources := dict "valkey.resources" $v.valkey.resources "traces.collector.resources" $v.traces.collector.resources "traces.jaeger.resources" $v.traces.jaeger.resources "training.resources" $v.training.resources "test.resources" $v.test.resources -}}
{{- include "journeymesh.checkResources" (dict "resources" $resources "name" $name) -}}
{{- end -}}
{{- with dig "limits" "memory" "" $v.valkey.resources -}}
{{- if gt (include "journeymesh.amount" $v.valkey.maxMemory | float64) (mulf 0.75 (include "journeymesh.amount" . | float64)) }}{{ fail (printf "valkey.maxMemory is %s; it must leave a quarter of valkey.resources.limits.memory free, which is %s." $v.valkey.maxMemory .) }}{{ end -}}
{{- end -}}
{{- if gt (int $v.keda.minReplicas) (int $v.keda.maxReplicas) }}{{ fail (printf "keda.minReplicas is %d and so above keda.maxReplicas, which is %d." (int $v.keda.minReplicas) (int $v.keda.maxReplicas)) }}{{ end -}}
{{- end }}

{{/* Fails with one sentence if values contradict each other. */}}
{{- define "journeymesh.check" -}}
{{- include "journeymesh.checkEach" . -}}
{{- $v := .Values -}}
{{- if and $v.store.ca.secret (not (regexMatch "^rediss(\\+cluster)?://" $v.store.url)) }}{{ fail "store.ca.secret needs a store.url that begins with rediss:// or rediss+cluster://." }}{{ end -}}
{{- $keeps := and (hasPrefix "file:" $v.archive.url) (ne $v.archive.accessMode "ReadWriteMany") -}}
{{- $archiver := mergeOverwrite (deepCopy $v.each) (deepCopy $v.services.archiver) -}}
{{- if and $keeps (or (gt (int $archiver.replicas) 1) $archiver.autoscaling.enabled) }}{{ fail "More than one archiver needs archive.accessMode ReadWriteMany, or an archive on S3." }}{{ end -}}
{{- if and (hasPrefix "file:" $v.archive.url) (ne $v.archive.url "file:///archive") }}{{ fail "archive.url must be file:///archive, where the volume is mounted, or s3://bucket/prefix." }}{{ end -}}
{{- if and (or (eq $v.stream.kind "kinesis") (hasPrefix "s3://" $v.archive.url) $v.models.url (eq $v.help.email.kind "ses") (eq $v.help.push.kind "sns")) (not $v.aws.region) }}{{ fail "Kinesis, S3, SES and SNS need aws.region." }}{{ end -}}
{{- if and $v.training.onDemand (not (and $v.archive.url $v.models.url)) }}{{ fail "training.onDemand needs what to read and where to write: archive.url and models.url." }}{{ end -}}
{{- if and (ne $v.training.start "no") (not $v.training.onDemand) }}{{ fail "training.start needs training.onDemand." }}{{ end -}}
{{- if and $v.jobs.cluster.address (not (and $v.jobs.cluster.secret $v.archive.url)) }}{{ fail "jobs.cluster.address needs the certificates in jobs.cluster.secret, and what to read: archive.url." }}{{ end -}}
{{- if and $v.training.enabled (not (and $v.archive.url $v.models.url)) }}{{ fail "training.enabled needs what to read and where to write: archive.url and models.url." }}{{ end -}}
{{- if and (eq $v.help.email.kind "ses") (not $v.help.email.from) }}{{ fail "help.email.kind ses needs the sender's address in help.email.from." }}{{ end -}}
{{- range $name, $channel := dict "chat" $v.help.chat "ticket" $v.help.ticket -}}
{{- if and (eq $channel.kind "webhook") (not (hasPrefix "https://" $channel.url)) }}{{ fail (printf "help.%s.kind webhook needs an https address in help.%s.url." $name $name) }}{{ end -}}
{{- if and (eq $channel.kind "webhook") (not $v.help.webhookSecret.secret) }}{{ fail "Webhooks need the secret they are signed with: help.webhookSecret.secret." }}{{ end -}}
{{- end -}}
{{- with $v.insights.webhookUrl -}}
{{- if not (hasPrefix "https://" .) }}{{ fail "insights.webhookUrl needs an https address." }}{{ end -}}
{{- if not $v.help.webhookSecret.secret }}{{ fail "Webhooks need the secret they are signed with: help.webhookSecret.secret." }}{{ end -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (or $v.ingress.enabled $v.route.enabled) (not $v.networkPolicy.clients) }}{{ fail "Who may call the gateway? Name the ingress controller's pods in networkPolicy.clients." }}{{ end -}}
{{- if and $v.signIn.issuer (not (and $v.signIn.clientId $v.signIn.secret $v.signIn.roles $v.signIn.publicUrl)) }}{{ fail "signIn.issuer needs signIn.clientId, signIn.secret, signIn.roles and signIn.publicUrl." }}{{ end -}}
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

{{/* Egress to DNS. */}}
{{- define "journeymesh.resolving" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}
