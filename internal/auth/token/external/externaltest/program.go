// Package externaltest signs tokens as an administrator's program does: a real gRPC server at a unix socket, which tests may have fail and lie.
package externaltest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwt "k8s.io/externaljwt/apis/v1"
)

// Program is a signer. It is safe for concurrent use.
type Program struct {
	externaljwt.UnimplementedExternalJWTSignerServer
	Socket string

	mu      sync.Mutex
	private map[string]*ecdsa.PrivateKey // guarded by mu: by key id
	says    Says                         // guarded by mu
	asked   int                          // guarded by mu: questions for keys
}

// Says is what a program answers.
type Says struct {
	KeyID  string // of the key that signs
	Header string // of tokens, in plain; "": the right one
	// Keys are told; nil: all that Add has made.
	Keys      []*externaljwt.Key
	Hint      int64 // seconds
	DataTime  *timestamppb.Timestamp
	Life      int64 // seconds that tokens may live
	Unsigned  bool  // it answers without a signature
	KeysError error
	SignError error
}

// Start serves a program with one key, "first", until the test ends.
func Start(t testing.TB) *Program {
	t.Helper()
	dir, err := os.MkdirTemp("", "jwt") // a test's own directory may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	p := &Program{Socket: filepath.Join(dir, "s"), private: map[string]*ecdsa.PrivateKey{}}
	p.says = Says{Hint: 600, DataTime: timestamppb.New(time.Unix(1_700_000_000, 0)), Life: 7200}
	p.Add(t, "first")
	listener, err := net.Listen("unix", p.Socket)
	if err != nil {
		t.Fatal(err)
	}
	server, ended := grpc.NewServer(), make(chan error, 1)
	externaljwt.RegisterExternalJWTSignerServer(server, p)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Errorf("the signer: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Add makes a key with which tokens are signed from now on.
func (p *Program) Add(t testing.TB, id string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.private[id], p.says.KeyID = private, id
}

// Change changes what the program answers from now on.
func (p *Program) Change(change func(*Says)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.says)
}

// Asked is how often the program was asked for its keys.
func (p *Program) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Key is what the program says of a key of its own.
func (p *Program) Key(id string, hidden bool) *externaljwt.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keyLocked(id, hidden)
}

func (p *Program) keyLocked(id string, hidden bool) *externaljwt.Key {
	der, err := x509.MarshalPKIXPublicKey(&p.private[id].PublicKey)
	if err != nil {
		panic(err) // a curve that has a name
	}
	return &externaljwt.Key{KeyId: id, Key: der, ExcludeFromOidcDiscovery: hidden}
}

// Sign implements externaljwt.ExternalJWTSignerServer.
func (p *Program) Sign(_ context.Context, r *externaljwt.SignJWTRequest) (*externaljwt.SignJWTResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	header := p.says.Header
	if header == "" {
		header = fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"JWT"}`, p.says.KeyID)
	}
	header = base64.RawURLEncoding.EncodeToString([]byte(header))
	answer := &externaljwt.SignJWTResponse{Header: header}
	if p.says.SignError != nil || p.says.Unsigned {
		return answer, p.says.SignError
	}
	digest := sha256.Sum256([]byte(header + "." + r.Claims))
	a, b, err := ecdsa.Sign(rand.Reader, p.private[p.says.KeyID], digest[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	a.FillBytes(signature[:32])
	b.FillBytes(signature[32:])
	answer.Signature = base64.RawURLEncoding.EncodeToString(signature)
	return answer, nil
}

// FetchKeys implements externaljwt.ExternalJWTSignerServer.
func (p *Program) FetchKeys(context.Context, *externaljwt.FetchKeysRequest) (*externaljwt.FetchKeysResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.says.KeysError != nil {
		return nil, p.says.KeysError
	}
	list := p.says.Keys
	if list == nil {
		for id := range p.private {
			list = append(list, p.keyLocked(id, false))
		}
	}
	return &externaljwt.FetchKeysResponse{Keys: list, DataTimestamp: p.says.DataTime, RefreshHintSeconds: p.says.Hint}, nil
}

// Metadata implements externaljwt.ExternalJWTSignerServer.
func (p *Program) Metadata(context.Context, *externaljwt.MetadataRequest) (*externaljwt.MetadataResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &externaljwt.MetadataResponse{MaxTokenExpirationSeconds: p.says.Life}, nil
}
