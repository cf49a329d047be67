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

{{/* The policy as JSON, its cluster and what it asserts of the host compared with the target. */}}
{{- define "chatcache.policy" -}}
{{- $policy := fromJson .Values.filter.policy -}}
{{- if hasKey $policy "Error" -}}
{{- fail (printf "filter.policy is no JSON object: %s; check it with `policy check`" (get $policy "Error")) -}}
{{- end -}}
{{- $cluster := dig "bridge" "cluster" "" $policy -}}
{{- $want := include "chatcache.cluster" . -}}
{{- if and .Values.bridge.enabled (ne $cluster $want) -}}
{{- fail (printf "filter.policy: bridge.cluster is %q, but here the bridge's cluster is %q" $cluster $want) -}}
{{- end -}}
{{- toJson $policy -}}
{{- end }}

{{/* The Go heap's limit in a VM: unless it is given, 160 MiB above what the policy lets L1 hold, as `policy render` has it. */}}
{{- define "chatcache.memoryLimit" -}}
{{- if .Values.filter.memoryLimit -}}
{{ .Values.filter.memoryLimit }}
{{- else -}}
{{- $l1 := dig "l1" true (fromJson .Values.filter.policy) -}}
{{- $size := ternary "32MiB" "0" (not (empty $l1)) -}}
{{- if kindIs "map" $l1 -}}
{{- $size = dig "max_bytes" "32MiB" $l1 -}}
{{- end -}}
{{- $unit := get (dict "KiB" 1024 "MiB" 1048576 "GiB" 1073741824) (regexFind "[KMG]iB$" $size) | default 1 -}}
{{ add 160 (div (mul (regexFind "^[0-9]+" $size | int64) $unit) 1048576) }}MiB
{{- end -}}
{{- end }}

{{- define "chatcache.attachment" -}}
{{- with .Values.filter.targetRef -}}
targetRefs:
- { group: gateway.networking.k8s.io, kind: {{ .kind }}, name: {{ .name | quote }} }
{{- end -}}
{{- end }}
