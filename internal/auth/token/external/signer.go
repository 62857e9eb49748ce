package external

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	externaljwt "k8s.io/externaljwt/apis/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth/token"
)

// Upstream's numbers.
const (
	keysWithin     = time.Minute // an answer with keys
	metadataWithin = 10 * time.Second
	retryAfter     = 10 * time.Second // a question for keys that failed
	maxKeyID       = 1024             // bytes
	leastLife      = 600              // seconds that tokens can live, at least
)

// Config is what a Signer is made from. Socket, Clock and Log are needed.
type Config struct {
	Socket  string // path of a unix socket, or "@" and the name of an abstract one
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics *Metrics // nil: nothing is counted
}

// Signer signs by another program. It is safe for concurrent use.
type Signer struct {
	cfg    Config
	conn   *grpc.ClientConn
	client externaljwt.ExternalJWTSignerClient
	// MaxLife is how long the program lets tokens live.
	MaxLife time.Duration

	keys   atomic.Pointer[keys]
	asking chan struct{} // holds one while keys are asked for

	mu      sync.Mutex
	outcome outcome // guarded by mu
}

var (
	_ token.Signing = (*Signer)(nil)
	_ token.Keys    = (*Signer)(nil)
)

// Open connects to a signer and waits for its keys. The caller closes it.
func Open(ctx context.Context, cfg Config) (_ *Signer, err error) {
	s := &Signer{cfg: cfg, asking: make(chan struct{}, 1)}
	s.keys.Store(&keys{ring: token.NewRing(nil)})
	s.conn, err = grpc.NewClient("passthrough:///"+cfg.Socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a socket of this machine
		grpc.WithAuthority("localhost"), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", cfg.Socket)
		}),
		grpc.WithChainUnaryInterceptor(s.measure))
	if err != nil {
		return nil, fmt.Errorf("while dialing grpc socket at %q: %w", cfg.Socket, err)
	}
	s.client = externaljwt.NewExternalJWTSignerClient(s.conn)
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.conn.Close())
	}
	return s, nil
}

// begin learns what must be known before the first token.
func (s *Signer) begin(ctx context.Context) error {
	if err := s.fetch(ctx); err != nil {
		return fmt.Errorf("while initially filling key cache: while performing initial cache fill: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, metadataWithin)
	defer cancel()
	metadata, err := s.client.Metadata(ctx, &externaljwt.MetadataRequest{})
	if err != nil {
		return err
	}
	if life := metadata.MaxTokenExpirationSeconds; life < leastLife {
		return fmt.Errorf("max token life supported by external-jwt-signer (%ds) is less than acceptable (min %ds)", life, leastLife)
	}
	s.MaxLife = time.Duration(min(metadata.MaxTokenExpirationSeconds, int64(maxDuration/time.Second))) * time.Second
	return nil
}

const maxDuration = time.Duration(1<<63 - 1)

// Close ends the connection.
func (s *Signer) Close() error { return s.conn.Close() }

// measure counts how long calls take.
func (s *Signer) measure(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	began := s.cfg.Clock.Now()
	err := invoke(ctx, method, req, reply, conn, opts...)
	s.cfg.Metrics.called(method, err, s.cfg.Clock.Since(began))
	return err
}

// Sign implements token.Signing.
func (s *Signer) Sign(ctx context.Context, payload []byte) (string, error) {
	signed, err := s.sign(ctx, base64.RawURLEncoding.EncodeToString(payload))
	s.cfg.Metrics.signed(err)
	return signed, err
}

func (s *Signer) sign(ctx context.Context, claims string) (string, error) {
	response, err := s.client.Sign(ctx, &externaljwt.SignJWTRequest{Claims: claims})
	if err != nil {
		return "", fmt.Errorf("while signing jwt: %w", err)
	}
	if err := s.checkHeader(ctx, response.Header); err != nil {
		return "", fmt.Errorf("while validating header: %w", err)
	}
	if response.Signature == "" {
		return "", errors.New("empty signature returned")
	}
	return response.Header + "." + claims + "." + response.Signature, nil
}

// checkHeader says why a token with a header, encoded, is not given out.
func (s *Signer) checkHeader(ctx context.Context, header string) error {
	data, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return fmt.Errorf("while unwrapping header: %w", err)
	}
	var said struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&said); err != nil {
		return fmt.Errorf("while parsing header JSON: %w", err)
	}
	switch {
	case said.Type != "JWT":
		return errors.New("bad type")
	case said.KeyID == "":
		return errors.New("key id missing")
	case len(said.KeyID) > maxKeyID:
		return errors.New("key id longer than 1 kb")
	case !slices.Contains(algorithms(), said.Algorithm):
		return fmt.Errorf("bad signing algorithm %q", said.Algorithm)
	}
	if slices.ContainsFunc(s.Find(ctx, said.KeyID), func(k token.Key) bool { return k.Hidden }) {
		return fmt.Errorf("key used for signing JWT (kid: %s) is excluded from OIDC discovery docs", said.KeyID)
	}
	return nil
}

// algorithms are those that tokens are taken with.
func algorithms() []string { return []string{"RS256", "ES256", "ES384", "ES512"} }
