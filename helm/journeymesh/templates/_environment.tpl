{{/* Environment variables of a service, and the files it reads. Both take root, name, service and services. */}}

{{- define "journeymesh.environment" -}}
{{- $v := .root.Values -}}
{{- $name := include "journeymesh.fullname" .root -}}
{{- $calls := .service.calls -}}
JOURNEYMESH_LOG_FORMAT: {{ $v.log.format | quote }}
JOURNEYMESH_LOG_LEVEL: {{ $v.log.level | quote }}
JOURNEYMESH_METRICS_LISTEN: "0.0.0.0:9464"
{{- with include "journeymesh.tracesEndpoint" .root }}
JOURNEYMESH_OTLP_ENDPOINT: {{ . | quote }}
JOURNEYMESH_TRACE_SAMPLE_RATIO: {{ $v.traces.sampleRatio | quote }}
{{- end }}
{{- if eq .name "gateway" }}
JOURNEYMESH_HTTP_ADDRESS: "0.0.0.0:{{ .service.port }}"
JOURNEYMESH_LEAVE_SECONDS: "10"
JOURNEYMESH_KEYS: {{ include "journeymesh.keys" .root }}
{{- if $v.signIn.issuer }}
JOURNEYMESH_OIDC_ISSUER: {{ $v.signIn.issuer | quote }}
JOURNEYMESH_OIDC_CLIENT_ID: {{ $v.signIn.clientId | quote }}
JOURNEYMESH_OIDC_CLIENT_SECRET_FILE: /run/secrets/sign-in/client
JOURNEYMESH_OIDC_GROUPS_CLAIM: {{ $v.signIn.groupsClaim | quote }}
JOURNEYMESH_OIDC_ROLES: {{ $v.signIn.roles | quote }}
JOURNEYMESH_PUBLIC_URL: {{ $v.signIn.publicUrl | quote }}
JOURNEYMESH_SESSION_SECRET_FILE: /run/secrets/sign-in/session
{{- end }}
{{- else }}
JOURNEYMESH_{{ upper .name }}_LISTEN: "0.0.0.0:{{ .service.port }}"
JOURNEYMESH_PROBE_LISTEN: "0.0.0.0:7190"
{{- end }}
{{- range $callee, $called := .services }}
{{- if has $callee $calls }}
{{- $host := printf "%s-%s" $name $callee }}
{{- $rest := printf "%s.svc:%d" $.root.Release.Namespace (int $called.port) }}
JOURNEYMESH_{{ upper $callee }}_TARGET: "dns:///{{ $host }}.{{ $rest }} dns:///{{ $host }}-any.{{ $rest }}"
{{- end }}
{{- end }}
{{- if $v.tls.enabled }}
JOURNEYMESH_TLS_CERTIFICATE_FILE: /tls/tls.crt
JOURNEYMESH_TLS_KEY_FILE: /tls/tls.key
JOURNEYMESH_TLS_CA_FILE: /tls/ca.crt
{{- if ne .name "gateway" }}
{{- $callers := list }}
{{- $self := .name }}
{{- range $caller, $calling := .services }}
{{- if has $self $calling.calls }}{{ $callers = append $callers (printf "%s=%s-%s" $caller $name $caller) }}{{ end }}
{{- end }}
JOURNEYMESH_TLS_CALLERS: {{ join " " $callers | quote }}
{{- end }}
{{- end }}
{{- if has "store" $calls }}
JOURNEYMESH_REDIS_URL: {{ $v.store.url | default (printf "%s://%s-valkey:6379/0" (ternary "rediss" "redis" $v.tls.enabled) $name) | quote }}
{{- if include "journeymesh.storeSecret" .root }}
JOURNEYMESH_REDIS_PASSWORD_FILE: /run/secrets/store/password
{{- end }}
{{- if $v.store.ca.secret }}
JOURNEYMESH_REDIS_CA_FILE: /run/secrets/store-ca/ca.crt
{{- else if and $v.tls.enabled (not $v.store.url) }}
JOURNEYMESH_REDIS_CA_FILE: /tls/ca.crt
{{- end }}
{{- end }}
{{- if eq .service.image "ingest" }}
JOURNEYMESH_STREAM: {{ $v.stream.kind | quote }}
JOURNEYMESH_STREAM_NAME: {{ $v.stream.name | quote }}
JOURNEYMESH_SHARD_COUNT: {{ int $v.stream.shards | quote }}
JOURNEYMESH_LANE_COUNT: {{ int $v.stream.lanes | quote }}
JOURNEYMESH_ARCHIVE_URL: {{ $v.archive.url | quote }}
{{- end }}
{{- if eq .name "analytics" }}
JOURNEYMESH_ARCHIVE_URL: {{ $v.archive.url | quote }}
JOURNEYMESH_ANALYTICS_FOLDER: /tmp/analytics
{{- end }}
{{- if and (or (eq .name "analytics") (eq .name "intervention")) (or $v.costs.prices $v.costs.models $v.costs.dailyBudgetUsd) }}
JOURNEYMESH_PRICES_FILE: /prices/prices.json
{{- end }}
{{- if and (eq .name "analytics") $v.jobs.cluster.address }}
JOURNEYMESH_JOBS_CLUSTER: {{ $v.jobs.cluster.address | quote }}
JOURNEYMESH_JOBS_CLUSTER_CERT_FILE: /run/secrets/cluster/tls.crt
JOURNEYMESH_JOBS_CLUSTER_KEY_FILE: /run/secrets/cluster/tls.key
JOURNEYMESH_JOBS_CLUSTER_CA_FILE: /run/secrets/cluster/ca.crt
{{- end }}
{{- if and (eq .name "analytics") $v.training.onDemand }}
JOURNEYMESH_TRAINING_START: {{ $v.training.start | quote }}
JOURNEYMESH_TRAINING_LABEL: {{ $v.training.label | quote }}
JOURNEYMESH_TRAINING_PROMOTE: {{ $v.training.promote | quote }}
MPLCONFIGDIR: /tmp
{{- end }}
{{- if and $v.models.url (or (eq .name "scoring") (and (eq .name "analytics") $v.training.onDemand)) }}
JOURNEYMESH_MODELS: {{ $v.models.url | quote }}
{{- end }}
{{- if and (eq .name "access") $v.keys.existingSecret }}
JOURNEYMESH_KEYS_FOLDER: /run/secrets/keys
{{- end }}
{{- if and (eq .name "access") $v.audit.existingClaim }}
JOURNEYMESH_AUDIT_HEADS_FILE: /audit/heads.jsonl
JOURNEYMESH_AUDIT_KEY_FILE: {{ ternary "/run/secrets/audit/key" "/audit/key.pem" (not (empty $v.audit.key.secret)) }}
{{- end }}
{{- if and $v.experiments.scoring (or (eq .name "experiments") (eq .name "intervention")) }}
JOURNEYMESH_SCORING_EXPERIMENT: {{ $v.experiments.scoring | quote }}
{{- end }}
{{- if and (eq .name "experiments") $v.experiments.key.secret }}
JOURNEYMESH_EXPERIMENTS_KEY_FILE: /run/secrets/experiments/key
{{- end }}
{{- if eq .name "intervention" }}
{{- if $v.policy.document }}
JOURNEYMESH_POLICY: /policy/policy.yaml
{{- end }}
{{- if $v.policy.tenants }}
JOURNEYMESH_TENANT_POLICIES: /tenant-policies
{{- end }}
{{- if $v.policy.arms }}
JOURNEYMESH_POLICY_ARMS: /policy-arms
{{- end }}
{{- if $v.help.prompts }}
JOURNEYMESH_PROMPTS: /prompts
{{- end }}
JOURNEYMESH_LANGUAGE_MODEL: {{ $v.help.languageModel.kind | quote }}
JOURNEYMESH_BEDROCK_REGION: {{ $v.help.languageModel.region | quote }}
JOURNEYMESH_BEDROCK_GEOGRAPHY: {{ $v.help.languageModel.geography | quote }}
JOURNEYMESH_MODEL_DAILY_USD: {{ $v.help.languageModel.dailyUsd | quote }}
JOURNEYMESH_MODEL_DAILY_TOKENS: {{ int64 $v.help.languageModel.dailyTokens | quote }}
JOURNEYMESH_EMAIL: {{ $v.help.email.kind | quote }}
JOURNEYMESH_EMAIL_FROM: {{ $v.help.email.from | quote }}
JOURNEYMESH_PUSH: {{ $v.help.push.kind | quote }}
JOURNEYMESH_PUSH_TOPIC_ARN: {{ $v.help.push.topicArn | quote }}
JOURNEYMESH_CHAT: {{ $v.help.chat.kind | quote }}
JOURNEYMESH_CHAT_URL: {{ $v.help.chat.url | quote }}
JOURNEYMESH_TICKET: {{ $v.help.ticket.kind | quote }}
JOURNEYMESH_TICKET_URL: {{ $v.help.ticket.url | quote }}
{{- if $v.help.webhookSecret.secret }}
JOURNEYMESH_WEBHOOK_SECRET_FILE: /run/secrets/webhooks/secret
{{- end }}
{{- end }}
{{- if and (eq .name "analytics") $v.insights.webhookUrl }}
JOURNEYMESH_INSIGHTS_WEBHOOK_URL: {{ $v.insights.webhookUrl | quote }}
JOURNEYMESH_WEBHOOK_SECRET_FILE: /run/secrets/webhooks/secret
{{- end }}
{{- if and $v.aws.region (has .service.image (list "ingest" "scoring" "intervention" "analytics")) }}
AWS_REGION: {{ $v.aws.region | quote }}
AWS_DEFAULT_REGION: {{ $v.aws.region | quote }}
{{- end }}
{{- end }}

{{/* Whether requests need a key: as keys.required says, else if the gateway can be reached from outside the cluster. */}}
{{- define "journeymesh.keys" -}}
{{- $isRequired := or .Values.ingress.enabled .Values.route.enabled -}}
{{- if kindIs "bool" .Values.keys.required }}{{ $isRequired = .Values.keys.required }}{{ end -}}
{{- ternary "required" "elsewhere" $isRequired -}}
{{- end }}

{{/* Whether a service signs what it posts to webhooks; empty: it does not. */}}
{{- define "journeymesh.signs" -}}
{{- if or (eq .name "intervention") (and (eq .name "analytics") .root.Values.insights.webhookUrl) }}true{{ end -}}
{{- end }}

{{/* Names of the Secrets that a service reads when it starts, as JSON. */}}
{{- define "journeymesh.secrets" -}}
{{- $secrets := list -}}
{{- if has "store" .service.calls -}}
{{- $secrets = append $secrets .root.Values.store.password.secret -}}
{{- $secrets = append $secrets .root.Values.store.ca.secret -}}
{{- end -}}
{{- if include "journeymesh.signs" . }}{{ $secrets = append $secrets .root.Values.help.webhookSecret.secret }}{{ end -}}
{{- if eq .name "access" }}{{ $secrets = concat $secrets (list .root.Values.audit.key.secret .root.Values.keys.existingSecret) }}{{ end -}}
{{- if eq .name "experiments" }}{{ $secrets = append $secrets .root.Values.experiments.key.secret }}{{ end -}}
{{- if eq .name "gateway" }}{{ $secrets = append $secrets .root.Values.signIn.secret }}{{ end -}}
{{- if eq .name "analytics" }}{{ $secrets = append $secrets .root.Values.jobs.cluster.secret }}{{ end -}}
{{- compact $secrets | toJson -}}
{{- end }}

{{/* Volumes, each with its mount path. */}}
{{- define "journeymesh.volumes" -}}
{{- $v := .root.Values -}}
{{- $name := include "journeymesh.fullname" .root -}}
{{- $secret := include "journeymesh.storeSecret" .root -}}
- path: /tmp
  volume:
    name: tmp
    emptyDir: {sizeLimit: {{ .service.temporarySize }}}
{{- if and $secret (has "store" .service.calls) }}
- path: /run/secrets/store
  volume:
    name: store-password
    secret:
      secretName: {{ $secret }}
      defaultMode: 0440
      items: [{key: {{ $v.store.password.key | quote }}, path: password}]
{{- end }}
{{- if and $v.store.ca.secret (has "store" .service.calls) }}
- path: /run/secrets/store-ca
  volume:
    name: store-ca
    secret:
      secretName: {{ $v.store.ca.secret }}
      defaultMode: 0440
      items: [{key: {{ $v.store.ca.key | quote }}, path: ca.crt}]
{{- end }}
{{- if $v.tls.enabled }}
- path: /tls
  volume:
    name: tls
    secret:
      secretName: {{ $name }}-{{ .name }}-tls
      defaultMode: 0440
{{- end }}
{{- if and (include "journeymesh.signs" .) $v.help.webhookSecret.secret }}
- path: /run/secrets/webhooks
  volume:
    name: webhooks
    secret:
      secretName: {{ $v.help.webhookSecret.secret }}
      defaultMode: 0440
      items: [{key: {{ $v.help.webhookSecret.key | quote }}, path: secret}]
{{- end }}
{{- if and (eq .name "intervention") $v.policy.document }}
- path: /policy
  volume:
    name: policy
    configMap: {name: {{ $name }}-policy}
{{- end }}
{{- if and (eq .name "intervention") $v.policy.tenants }}
- path: /tenant-policies
  volume:
    name: tenant-policies
    configMap: {name: {{ $name }}-tenant-policies}
{{- end }}
{{- if and (eq .name "intervention") $v.policy.arms }}
- path: /policy-arms
  volume:
    name: policy-arms
    configMap: {name: {{ $name }}-policy-arms}
{{- end }}
{{- if and (eq .name "intervention") $v.help.prompts }}
- path: /prompts
  volume:
    name: prompts
    configMap: {name: {{ $name }}-prompts}
{{- end }}
{{- if and (eq .name "experiments") $v.experiments.key.secret }}
- path: /run/secrets/experiments
  volume:
    name: experiments-key
    secret:
      secretName: {{ $v.experiments.key.secret }}
      defaultMode: 0440
      items: [{key: {{ $v.experiments.key.key | quote }}, path: key}]
{{- end }}
{{- if and (or (eq .name "analytics") (eq .name "intervention")) (or $v.costs.prices $v.costs.models $v.costs.dailyBudgetUsd) }}
- path: /prices
  volume:
    name: prices
    configMap: {name: {{ $name }}-prices}
{{- end }}
{{- if and (eq .name "analytics") $v.jobs.cluster.address }}
- path: /run/secrets/cluster
  volume:
    name: cluster
    secret:
      secretName: {{ $v.jobs.cluster.secret }}
      defaultMode: 0440
      items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}, {key: ca.crt, path: ca.crt}]
{{- end }}
{{- if and (eq .name "gateway") $v.signIn.issuer }}
- path: /run/secrets/sign-in
  volume:
    name: sign-in
    secret:
      secretName: {{ $v.signIn.secret }}
      defaultMode: 0440
      items: [{key: client, path: client}, {key: session, path: session}]
{{- end }}
{{- if and (eq .name "access") $v.keys.existingSecret }}
- path: /run/secrets/keys
  volume:
    name: keys
    secret:
      secretName: {{ $v.keys.existingSecret }}
      defaultMode: 0440
{{- end }}
{{- if and (eq .name "access") $v.audit.existingClaim }}
- path: /audit
  isWritten: true
  volume:
    name: audit
    persistentVolumeClaim: {claimName: {{ $v.audit.existingClaim }}}
{{- if $v.audit.key.secret }}
- path: /run/secrets/audit
  volume:
    name: audit-key
    secret:
      secretName: {{ $v.audit.key.secret }}
      defaultMode: 0440
      items: [{key: {{ $v.audit.key.key | quote }}, path: key}]
{{- end }}
{{- end }}
{{- if and (has .name (list "archiver" "analytics")) (hasPrefix "file:" $v.archive.url) }}
- path: /archive
  isWritten: {{ eq .name "archiver" }}
  volume:
    name: archive
    persistentVolumeClaim: {claimName: {{ $v.archive.existingClaim | default (printf "%s-archive" $name) }}}
{{- end }}
{{- end }}
