{{/* Names */}}
{{- define "holdfast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 54 characters leave room for the longest suffix, "-headless". */}}
{{- define "holdfast.fullname" -}}
{{- $name := include "holdfast.name" . }}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $release .Values.fullnameOverride | trunc 54 | trimSuffix "-" }}
{{- end }}

{{- define "holdfast.serviceAccount" -}}
{{- default (include "holdfast.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "holdfast.selector" -}}
app.kubernetes.io/name: {{ include "holdfast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "holdfast.labels" -}}
{{ include "holdfast.selector" . }}
{{ include "holdfast.labelsOnly" . }}
{{- end }}

{{/* Masters and tests have names of their own, so that no Service takes them for replicas. */}}
{{- define "holdfast.masters" -}}
app.kubernetes.io/name: {{ include "holdfast.name" . }}-master
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "holdfast.tests" -}}
app.kubernetes.io/name: {{ include "holdfast.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "holdfast.labelsOnly" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Of every pod and container: what the profile "restricted" of Pod Security asks for, and a root that is read-only. */}}
{{- define "holdfast.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "holdfast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "holdfast.image" -}}
{{- $image := .Values.image }}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end }}
{{- end }}

{{- define "holdfast.replicas" -}}
{{- if kindIs "invalid" .Values.replicas }}{{ ternary 1 2 .Values.dev }}{{ else }}{{ int .Values.replicas }}{{ end }}
{{- end }}

{{/* Whole seconds of a duration such as 1m30s. */}}
{{- define "holdfast.seconds" -}}
{{- $zero := toDate "2006-01-02" "2000-01-01" }}
{{- sub (dateModify . $zero | unixEpoch | int64) ($zero | unixEpoch | int64) }}
{{- end }}

{{/* Does the chart itself keep a password? */}}
{{- define "holdfast.keepsPasswords" -}}
{{- range .Values.masters }}{{ if .password }}yes{{ end }}{{ end }}
{{- end }}

{{/* The masters of the configuration, as JSON: those that are listed, or those that the chart brings. */}}
{{- define "holdfast.configured" -}}
{{- $masters := .Values.masters }}
{{- if .Values.bundledMasters.enabled }}
{{- range $number := untilStep 1 (int .Values.bundledMasters.count | add1 | int) 1 }}
{{- $service := printf "%s-master-%d" (include "holdfast.fullname" $) $number }}
{{- $secret := dict "name" (printf "%s-masters" (include "holdfast.fullname" $)) "key" "password" }}
{{- $masters = append $masters (dict "name" (printf "bundled-%d" $number) "url" (printf "redis://%s:6379" $service) "existingSecret" $secret) }}
{{- end }}
{{- end }}
{{- toJson (dict "masters" $masters) }}
{{- end }}

{{/* What no schema can say. */}}
{{- define "holdfast.validate" -}}
{{- $values := .Values }}
{{- if and $values.dev $values.masters }}
{{- fail "dev brings three in-memory masters of its own: leave out masters, or dev" }}
{{- end }}
{{- if and $values.bundledMasters.enabled (gt (len (include "holdfast.fullname" .)) 43) }}
{{- fail (printf "bundledMasters: %s is a name of more than 43 characters, too long for StatefulSets: give a fullnameOverride" (include "holdfast.fullname" .)) }}
{{- end }}
{{- if and $values.bundledMasters.enabled (or $values.dev $values.masters) }}
{{- fail "bundledMasters brings masters of its own: leave out masters and dev, or bundledMasters" }}
{{- end }}
{{- if and (not $values.dev) (not $values.masters) (not $values.bundledMasters.enabled) }}
{{- fail "no masters: list independent Redis masters under `masters`, or try it without any: --set dev=true" }}
{{- end }}
{{- if $values.autoscaling.enabled }}
{{- if or $values.dev (not (kindIs "invalid" $values.replicas)) }}
{{- fail "autoscaling decides how many replicas there are: leave out replicas and dev, or autoscaling" }}
{{- end }}
{{- if gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas) }}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" }}
{{- end }}
{{- if not (((($values.resources).requests)).cpu) }}
{{- fail "autoscaling needs resources.requests.cpu: its target is a share of that" }}
{{- end }}
{{- end }}
{{- if and $values.dev (gt (include "holdfast.replicas" . | int) 1) }}
{{- fail "dev keeps its masters in the memory of one replica: a second one would grant the same locks again. Leave out replicas, or list masters" }}
{{- end }}
{{- if and $values.tls.clientCa (not $values.tls.secretName) }}
{{- fail "tls.clientCa needs tls.secretName: the Secret with ca.crt beside the server's certificate" }}
{{- end }}
{{- with $values.auth }}
{{- if and (or .tokens .policy .jwt.jwks) (not .existingSecret) }}
{{- fail "auth names keys of a Secret: auth.existingSecret must say of which" }}
{{- end }}
{{- if and .existingSecret (not (or .tokens .policy .jwt.jwks)) }}
{{- fail "auth.existingSecret without a key: say which one is tokens, policy or jwt.jwks" }}
{{- end }}
{{- if and .jwt.jwks (not .jwt.audience) }}
{{- fail "auth.jwt.jwks needs auth.jwt.audience: tokens for others are not for us" }}
{{- end }}
{{- if and .policy (not .tokens) (not .jwt.jwks) (not $values.tls.clientCa) }}
{{- fail "auth.policy is about callers, and nobody is asked who they are: give auth.tokens, auth.jwt.jwks or tls.clientCa" }}
{{- end }}
{{- end }}
{{- if and (not $values.serviceAccount.create) (not $values.serviceAccount.name) }}
{{- fail "serviceAccount.create is false: serviceAccount.name must say which one exists" }}
{{- end }}
{{- $names := dict }}
{{- $addresses := dict }}
{{- range $values.masters }}
{{- $master := printf "master %s" .name }}
{{- if hasKey $names .name }}
{{- fail (printf "%s is listed twice: names must differ" $master) }}
{{- end }}
{{- $_ := set $names .name true }}
{{- $unit := or .endpoints .sentinel }}
{{- $urls := .endpoints | default (list .url) }}
{{- with .sentinel }}
{{- $urls = .urls }}
{{- end }}
{{- range $urls }}
{{- if contains "@" . }}
{{- fail (printf "%s: its url holds credentials, and would stand in a ConfigMap: give username, and password or existingSecret" $master) }}
{{- end }}
{{- end }}
{{- if not .sentinel }}
{{- $name := .name }}
{{- range $urls }}
{{- $address := regexReplaceAll "^rediss?://([^/]*).*$" (lower .) "${1}" }}
{{- if not (regexMatch ":[0-9]+$" $address) }}
{{- $address = printf "%s:6379" $address }}
{{- end }}
{{- if hasKey $addresses $address }}
{{- fail (printf "%s: %s is master %s already; one Redis is one vote, whatever the database" $master $address (get $addresses $address)) }}
{{- end }}
{{- $_ := set $addresses $address $name }}
{{- end }}
{{- end }}
{{- if and .max_lag (not $unit) }}
{{- fail (printf "%s: max_lag is of a replicated unit, which has endpoints or sentinel in place of url" $master) }}
{{- end }}
{{- if and .password .existingSecret }}
{{- fail (printf "%s: its password is given twice, by password and by existingSecret; keep one of them" $master) }}
{{- end }}
{{- if and .username (not .password) (not .existingSecret) }}
{{- fail (printf "%s: username needs a password: give password or existingSecret" $master) }}
{{- end }}
{{- if and .tls (not .sentinel) (not (hasPrefix "rediss://" (first $urls))) }}
{{- fail (printf "%s: tls needs a url that starts with rediss://" $master) }}
{{- end }}
{{- end }}
{{- end }}

{{/* holdfast.toml. Where files are is said here and in the volume of the Deployment. */}}
{{- define "holdfast.toml" -}}
{{- $config := .Values.config -}}
restart_policy = {{ quote $config.restart_policy }}
key_format = {{ quote $config.key_format }}
namespace = {{ quote $config.namespace }}

[grpc]
drain_timeout = {{ quote $config.grpc.drain_timeout }}
web_origins = {{ toJson $config.grpc.web_origins }}
{{- with .Values.tls }}
{{- if .secretName }}
tls = { cert = "/etc/holdfast/tls/tls.crt", key = "/etc/holdfast/tls/tls.key"{{ if .clientCa }}, client_ca = "/etc/holdfast/tls/ca.crt"{{ end }} }
{{- end }}
{{- end }}

{{- with .Values.auth }}
{{- if .existingSecret }}

[auth]
{{- if .tokens }}
tokens_file = "/etc/holdfast/auth/tokens.toml"
{{- end }}
{{- if .policy }}
policy_file = "/etc/holdfast/auth/policy.toml"
{{- end }}
{{- with .jwt }}
{{- if .jwks }}

[auth.jwt]
jwks_file = "/etc/holdfast/auth/jwks.json"
{{- with .issuer }}
issuer = {{ quote . }}
{{- end }}
audience = {{ quote .audience }}
leeway = {{ quote .leeway }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

[lease]
{{- range $key := list "default_ttl" "min_ttl" "max_ttl" "max_wait" "max_hold" }}
{{- with get $config.lease $key }}
{{ $key }} = {{ quote . }}
{{- end }}
{{- end }}
drift = {{ $config.lease.drift }}

[quorum]
clock_skew = {{ quote $config.quorum.clock_skew }}

[limits]
{{- range $key, $limit := omit $config.limits "per_identity" }}
{{ $key }} = {{ if kindIs "string" $limit }}{{ quote $limit }}{{ else }}{{ int64 $limit }}{{ end }}
{{- end }}

[limits.per_identity]
{{- range $key, $limit := $config.limits.per_identity }}
{{ $key }} = {{ int64 $limit }}
{{- end }}

[watch]
poll_interval = {{ quote $config.watch.poll_interval }}

[log]
format = {{ quote $config.log.format }}
filter = {{ quote $config.log.filter }}

[telemetry]
{{- with $config.telemetry.otlp_endpoint }}
otlp_endpoint = {{ quote . }}
{{- end }}
sample_ratio = {{ $config.telemetry.sample_ratio }}
{{- range $master := (include "holdfast.configured" . | fromJson).masters }}
{{- $folder := printf "/etc/holdfast/masters/%s" .name }}

[[masters]]
name = {{ quote .name }}
{{- with .url }}
url = {{ quote . }}
{{- end }}
{{- with .endpoints }}
endpoints = {{ toJson . }}
{{- end }}
{{- with .sentinel }}
sentinel = { urls = {{ toJson .urls }}, name = {{ quote .name }}{{ with .database }}, database = {{ int64 . }}{{ end }} }
{{- end }}
{{- range $key := list "max_lag" "username" "connect_timeout" "command_timeout" }}
{{- with get $master $key }}
{{ $key }} = {{ quote . }}
{{- end }}
{{- end }}
{{- if or .password .existingSecret }}
password_file = "{{ $folder }}/password"
{{- end }}
{{- with .tls }}
[masters.tls]
{{- range $file := list "ca" "cert" "key" }}
{{- if get $master.tls $file }}
{{ $file }} = "{{ $folder }}/{{ $file }}.pem"
{{- end }}
{{- end }}
{{- with .server_name }}
server_name = {{ quote . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
