package egress

import (
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	apiserverv1beta1 "k8s.io/apiserver/pkg/apis/apiserver/v1beta1"
)

// validate says what is wrong with a configuration, at upstream's paths.
func validate(cfg *apiserverv1beta1.EgressSelectorConfiguration) (errs field.ErrorList) {
	at := field.NewPath("service", "connection")
	for _, selection := range cfg.EgressSelections {
		errs = append(errs, validateConnection(selection.Connection, at)...)
	}
	known := []string{string(Cluster), string(ControlPlane), string(Etcd)}
	var seen []string
	for i, selection := range cfg.EgressSelections {
		name := strings.ToLower(selection.Name)
		switch {
		case slices.Contains(seen, name):
			errs = append(errs, field.Duplicate(at.Index(i), name))
		case !slices.Contains(known, name):
			errs = append(errs, field.NotSupported(at, name, known))
		}
		seen = append(seen, name)
	}
	return errs
}

func validateConnection(c apiserverv1beta1.Connection, at *field.Path) field.ErrorList {
	const direct, connect, grpc = apiserverv1beta1.ProtocolDirect, apiserverv1beta1.ProtocolHTTPConnect, apiserverv1beta1.ProtocolGRPC
	switch t := c.Transport; c.ProxyProtocol {
	case direct:
		if t != nil {
			return field.ErrorList{field.Invalid(at.Child("transport"), "direct", "config must be absent for direct connect")}
		}
		return nil
	case connect, grpc:
		switch {
		case t == nil:
			return field.ErrorList{field.Required(at.Child("transport"), "transport must be set for "+string(c.ProxyProtocol))}
		case c.ProxyProtocol == grpc && t.UDS == nil:
			return field.ErrorList{field.Required(at.Child("uds"), "UDS must be set with GRPC")}
		case c.ProxyProtocol == connect && t.TCP != nil && t.UDS != nil:
			return field.ErrorList{field.Invalid(at.Child("tcp"), t.TCP, "TCP and UDS cannot both be set")}
		case t.UDS != nil:
			return validateSocket(t.UDS, at)
		case t.TCP != nil:
			return validateTCP(t.TCP, at)
		}
		return field.ErrorList{field.Required(at.Child("tcp"), "One of TCP or UDS must be set")}
	}
	return field.ErrorList{field.NotSupported(at.Child("protocol"), c.ProxyProtocol, []string{string(direct), string(connect), string(grpc)})}
}

func validateSocket(t *apiserverv1beta1.UDSTransport, at *field.Path) field.ErrorList {
	if t.UDSName == "" {
		return field.ErrorList{field.Invalid(at.Child("udsName"), "nil", "must be present for UDS connections")}
	}
	return nil
}

func validateTCP(t *apiserverv1beta1.TCPTransport, at *field.Path) field.ErrorList {
	switch {
	case strings.HasPrefix(t.URL, "https://"):
		return validateTLS(t.TLSConfig, at.Child("tlsConfig"))
	case !strings.HasPrefix(t.URL, "http://"):
		return field.ErrorList{field.Invalid(at.Child("url"), t.URL, "supported connection protocols are http:// and https://")}
	case t.TLSConfig != nil:
		return field.ErrorList{field.Invalid(at.Child("tlsConfig"), "nil", "config must not be present when using HTTP")}
	}
	return nil
}

func validateTLS(t *apiserverv1beta1.TLSConfig, at *field.Path) (errs field.ErrorList) {
	if t == nil {
		return field.ErrorList{field.Required(at, "TLSConfig must be present when using HTTPS")}
	}
	for _, f := range [...]struct{ name, file, required, absent string }{
		{"caBundle", t.CABundle, "", "TLS config ca bundle does not exist"},
		{"clientCert", t.ClientCert, "Using TLS requires clientCert", "TLS client cert does not exist"},
		{"clientKey", t.ClientKey, "Using TLS requires requires clientKey", "TLS client key does not exist"}, // upstream's words
	} {
		if f.file == "" {
			if f.required != "" {
				errs = append(errs, field.Invalid(at.Child(f.name), "nil", f.required))
			}
			continue
		}
		if _, err := os.Stat(f.file); err != nil {
			errs = append(errs, field.Invalid(at.Child(f.name), f.file, f.absent))
		}
	}
	return errs
}
