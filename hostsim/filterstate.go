package hostsim

import (
	"net/netip"
	"strconv"
)

// filterStates are the objects that Envoy can make of bytes (its registered
// StreamInfo::FilterState::ObjectFactory), and of which bytes.
var filterStates = map[string]func(value string) bool{
	"envoy.string":                                        anything,
	"envoy.hashable_string":                               anything,
	"envoy.tcp_proxy.cluster":                             anything,
	"envoy.tcp_proxy.disable_tunneling":                   anything,
	"envoy.tcp_proxy.per_connection_idle_timeout_ms":      isNumber,
	"envoy.network.upstream_server_name":                  anything,
	"envoy.network.upstream_subject_alt_names":            anything,
	"envoy.network.application_protocols":                 anything,
	"envoy.network.ip":                                    isAddress,
	"envoy.network.network_namespace":                     anything,
	"envoy.network.transport_socket.original_dst_address": isAddressAndPort,
	"envoy.filters.listener.original_dst.local_ip":        isAddressAndPort,
	"envoy.filters.listener.original_dst.remote_ip":       isAddressAndPort,
	"envoy.ratelimit.hits_addend":                         isNumber,
	"envoy.upstream.dynamic_host":                         anything,
	"envoy.upstream.dynamic_port":                         isNumber,
}

func anything(string) bool { return true }

func isNumber(value string) bool {
	_, err := strconv.ParseUint(value, 10, 64)
	return err == nil
}

func isAddress(value string) bool {
	_, err := netip.ParseAddr(value)
	return err == nil
}

func isAddressAndPort(value string) bool {
	_, err := netip.ParseAddrPort(value)
	return err == nil
}
