{{/* Where the filter's resource stands. */}}
{{- define "chatcache.namespace" -}}
{{ .Values.filter.namespace | default .Release.Namespace }}
{{- end }}

{{/* The bridge's name in the cluster. */}}
{{- define "chatcache.bridgeHost" -}}
redis-bridge.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{/* The name of the bridge's cluster in the proxies, which the policy has to have. */}}
{{- define "chatcache.cluster" -}}
{{- if eq .Values.target "istio" -}}
outbound|8470||{{ include "chatcache.bridgeHost" . }}
{{- else -}}
redis-bridge
{{- end -}}
{{- end }}

{{/* The policy as JSON. What it holds anybody can read who may see the ConfigMap or the filter's resource. */}}
{{- define "chatcache.readable" -}}
{{- $policy := fromJson .Values.filter.policy -}}
{{- if hasKey $policy "Error" -}}
{{- fail (printf "filter.policy is no JSON object: %s; check it with `policy check`" (get $policy "Error")) -}}
{{- end -}}
{{- if hasKey $policy "partition_secret" -}}
{{- fail "filter.policy: partition_secret would stand in a ConfigMap and in the filter's resource; take it out: proxies and bridge take partition-secret of their Secrets" -}}
{{- end -}}
{{- $bridge := get $policy "bridge" -}}
{{- if and (kindIs "map" $bridge) (hasKey ($bridge | default dict) "token") -}}
{{- fail "filter.policy: bridge.token would stand in a ConfigMap and in the filter's resource; take it out: proxies take bridge-token of their Secret" -}}
{{- end -}}
{{- toJson $policy -}}
{{- end }}

{{/* The same, its cluster compared with the target. */}}
{{- define "chatcache.policy" -}}
{{- $policy := include "chatcache.readable" . | fromJson -}}
{{- $cluster := dig "bridge" "cluster" "" $policy -}}
{{- $want := include "chatcache.cluster" . -}}
{{- if and .Values.bridge.enabled (ne $cluster $want) -}}
{{- fail (printf "filter.policy: bridge.cluster is %q, but here the bridge's cluster is %q" $cluster $want) -}}
{{- end -}}
{{- toJson $policy -}}
{{- end }}

{{/* A size in bytes. */}}
{{- define "chatcache.bytes" -}}
{{- $unit := get (dict "KiB" 1024 "MiB" 1048576 "GiB" 1073741824) (regexFind "[KMG]iB$" .) | default 1 -}}
{{ mul (regexFind "^[0-9]+" . | int64) $unit }}
{{- end }}

{{/* The Go heap's limit in a VM: unless it is given, 160 MiB above what the policy lets L1 hold, as `policy render` has it. */}}
{{- define "chatcache.memoryLimit" -}}
{{- if .Values.filter.memoryLimit -}}
{{- if ge (include "chatcache.bytes" .Values.filter.memoryLimit | int64) 1073741824 -}}
{{- fail (printf "filter.memoryLimit is %s, want less than 1GiB: a VM dies there, before its Go heap is at the limit" .Values.filter.memoryLimit) -}}
{{- end -}}
{{ .Values.filter.memoryLimit }}
{{- else -}}
{{- $l1 := dig "l1" true (fromJson .Values.filter.policy) -}}
{{- $size := ternary "32MiB" "0" (not (empty $l1)) -}}
{{- if kindIs "map" $l1 -}}
{{- $size = dig "max_bytes" "32MiB" $l1 -}}
{{- end -}}
{{ add 160 (div (include "chatcache.bytes" $size | int64) 1048576) }}MiB
{{- end -}}
{{- end }}

{{- define "chatcache.attachment" -}}
{{- with .Values.filter.targetRef -}}
targetRefs:
- { group: gateway.networking.k8s.io, kind: {{ .kind }}, name: {{ .name | quote }} }
{{- end -}}
{{- end }}
