package lettaotel

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"syscall"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/letta-go/letta"
)

// errorType is the attribute error.type: the status of an answer, or one of a few words. Never a message, which may quote
// what was sent.
func errorType(err error) attribute.KeyValue {
	return semconv.ErrorTypeKey.String(errorWord(err))
}

func errorWord(err error) string {
	var (
		api       *letta.APIError
		redirect  *letta.RedirectError
		decode    *letta.DecodeError
		dns       *net.DNSError
		untrusted *tls.CertificateVerificationError
		op        *net.OpError
		timeout   net.Error
	)
	switch {
	case errors.As(err, &api):
		return strconv.Itoa(api.StatusCode)
	case errors.As(err, &redirect):
		return "redirect"
	case errors.As(err, &decode):
		return "decode"
	case errors.Is(err, letta.ErrStreamIdle):
		return "stream_idle"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &dns):
		return "name_resolution"
	case errors.As(err, &untrusted):
		return "server_certificate_invalid"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection_lost"
	case errors.As(err, &op):
		return "network"
	}
	return semconv.ErrorTypeOther.Value.AsString()
}
