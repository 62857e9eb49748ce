package external

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwt "k8s.io/externaljwt/apis/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth/token"
	"github.com/floe-k8s/floe/internal/auth/token/external/externaltest"
	"github.com/floe-k8s/floe/internal/observe"
)

var began = time.Unix(1_800_000_000, 0)

func open(t *testing.T, p *externaltest.Program) (*Signer, *clocktesting.FakeClock, error) {
	t.Helper()
	clock := clocktesting.NewFakeClock(began)
	s, err := Open(t.Context(), Config{Socket: p.Socket, Clock: clock, Log: observe.Discard(), Metrics: NewMetrics()})
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return s, clock, err
}

func opened(t *testing.T, p *externaltest.Program) (*Signer, *clocktesting.FakeClock) {
	t.Helper()
	s, clock, err := open(t, p)
	if err != nil {
		t.Fatal(err)
	}
	return s, clock
}

// TestStart: what a signer must say before anything is believed, with upstream's words for what it does not.
func TestStart(t *testing.T) {
	const fill = "while initially filling key cache: while performing initial cache fill: while fetching token verification keys: "
	key := func(id string, der []byte) func(*externaltest.Says) {
		return func(s *externaltest.Says) { s.Keys = []*externaljwt.Key{{KeyId: id, Key: der}} }
	}
	edwards, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*externaltest.Says)
		want   string // of the error; "": none
	}{
		"good":           {func(*externaltest.Says) {}, ""},
		"ten minutes":    {func(s *externaltest.Says) { s.Life = 600 }, ""},
		"for ever":       {func(s *externaltest.Says) { s.Life = 1<<63 - 1 }, ""},
		"short lives":    {func(s *externaltest.Says) { s.Life = 599 }, "max token life supported by external-jwt-signer (599s) is less than acceptable (min 600s)"},
		"no hint":        {func(s *externaltest.Says) { s.Hint = 0 }, fill + "found invalid refresh hint (0s)"},
		"hint before":    {func(s *externaltest.Says) { s.Hint = -1 }, fill + "found invalid refresh hint (-1s)"},
		"no keys":        {func(s *externaltest.Says) { s.Keys = []*externaljwt.Key{} }, fill + "found no keys"},
		"no data time":   {func(s *externaltest.Says) { s.DataTime = nil }, fill + "invalid data timestamp: proto:\u00a0invalid nil Timestamp"},
		"wild data time": {func(s *externaltest.Says) { s.DataTime = &timestamppb.Timestamp{Nanos: -1} }, fill + "invalid data timestamp: proto:\u00a0timestamp (nanos:-1) has out-of-range nanos"},
		"no id":          {key("", []byte{1}), fill + `found invalid public key id ""`},
		"long id":        {key(strings.Repeat("k", 1025), []byte{1}), fill + `found invalid public key id "kkk`},
		"no key":         {key("a", nil), fill + "found empty public key"},
		"garbage":        {key("a", []byte("x")), fill + "while parsing external public keys: asn1: "},
		"another kind":   {key("a", edwards), fill + `while parsing external public keys: key "a": unknown key type ed25519.PublicKey, must be RSA or ECDSA`},
		"refuses":        {func(s *externaltest.Says) { s.KeysError = status.Error(codes.PermissionDenied, "no") }, fill + "while getting externally supported jwt signing keys: rpc error: code = PermissionDenied desc = no"},
	} {
		t.Run(name, func(t *testing.T) {
			p := externaltest.Start(t)
			p.Change(c.change)
			s, _, err := open(t, p)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v", err)
			case c.want == "" && s.MaxLife < 10*time.Minute:
				t.Errorf("tokens may live for %v", s.MaxLife)
			case c.want != "" && (err == nil || !strings.HasPrefix(spaced(err), strings.ReplaceAll(c.want, "\u00a0", " "))):
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// spaced is an error's text without protobuf's blanks, which are of one kind or the other by chance.
func spaced(err error) string { return strings.ReplaceAll(err.Error(), "\u00a0", " ") }

// TestNobodyThere: the start waits for a signer, and says so when it is told to end.
func TestNobodyThere(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Open(ctx, Config{Socket: t.TempDir() + "/s", Clock: clocktesting.NewFakeClock(began), Log: observe.Discard()})
	if err == nil || !strings.Contains(err.Error(), "code = DeadlineExceeded") || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("got %v", err)
	}
}

func TestSign(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*externaltest.Says)
		want   string // of the error; "": none
		code   string
	}{
		"good":              {func(*externaltest.Says) {}, "", "OK"},
		"another type":      {func(s *externaltest.Says) { s.Header = `{"alg":"ES256","kid":"first","typ":"at+jwt"}` }, "while validating header: bad type", "unknown-non-grpc"},
		"no type":           {func(s *externaltest.Says) { s.Header = `{"alg":"ES256","kid":"first"}` }, "while validating header: bad type", "unknown-non-grpc"},
		"no key":            {func(s *externaltest.Says) { s.Header = `{"alg":"ES256","typ":"JWT"}` }, "while validating header: key id missing", "unknown-non-grpc"},
		"long key id":       {func(s *externaltest.Says) { s.Header = `{"kid":"` + strings.Repeat("k", 1025) + `","typ":"JWT"}` }, "while validating header: key id longer than 1 kb", "unknown-non-grpc"},
		"no algorithm":      {func(s *externaltest.Says) { s.Header = `{"kid":"first","typ":"JWT"}` }, `while validating header: bad signing algorithm ""`, "unknown-non-grpc"},
		"none":              {func(s *externaltest.Says) { s.Header = `{"alg":"none","kid":"first","typ":"JWT"}` }, `while validating header: bad signing algorithm "none"`, "unknown-non-grpc"},
		"a shared secret":   {func(s *externaltest.Says) { s.Header = `{"alg":"HS256","kid":"first","typ":"JWT"}` }, `while validating header: bad signing algorithm "HS256"`, "unknown-non-grpc"},
		"more in it":        {func(s *externaltest.Says) { s.Header = `{"alg":"ES256","kid":"first","typ":"JWT","jku":"x"}` }, `while validating header: while parsing header JSON: json: unknown field "jku"`, "unknown-non-grpc"},
		"no JSON":           {func(s *externaltest.Says) { s.Header = "x" }, "while validating header: while parsing header JSON: invalid character 'x' looking for beginning of value", "unknown-non-grpc"},
		"unsigned":          {func(s *externaltest.Says) { s.Unsigned = true }, "empty signature returned", "unknown-non-grpc"},
		"refuses":           {func(s *externaltest.Says) { s.SignError = status.Error(codes.ResourceExhausted, "no") }, "while signing jwt: rpc error: code = ResourceExhausted desc = no", "ResourceExhausted"},
		"fails in some way": {func(s *externaltest.Says) { s.SignError = errors.New("no") }, "while signing jwt: rpc error: code = Unknown desc = no", "Unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			p := externaltest.Start(t)
			s, _ := opened(t, p)
			p.Change(c.change)
			got, err := s.Sign(t.Context(), []byte(`{"a":1}`))
			if c.want == "" {
				if parts := strings.Split(got, "."); err != nil || len(parts) != 3 || parts[1] != "eyJhIjoxfQ" {
					t.Errorf("got %q, %v", got, err)
				}
			} else if err == nil || err.Error() != c.want || got != "" {
				t.Errorf("got  %q, %v\nwant %s", got, err, c.want)
			}
			if n := testutil.ToFloat64(s.cfg.Metrics.signs.WithLabelValues(c.code)); n != 1 {
				t.Errorf("counted %v of code %s", n, c.code)
			}
		})
	}
}

// TestHiddenKeySignsNothing: a key that others are not told of is good for what it signed before only.
func TestHiddenKeySignsNothing(t *testing.T) {
	p := externaltest.Start(t)
	hidden := p.Key("first", true)
	p.Change(func(s *externaltest.Says) { s.Keys = []*externaljwt.Key{hidden} })
	s, _ := opened(t, p)
	const want = "while validating header: key used for signing JWT (kid: first) is excluded from OIDC discovery docs"
	if _, err := s.Sign(t.Context(), []byte("{}")); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := token.Publish("https://me", "", "host", s); err == nil || err.Error() != "no keys provided for validating keyset" {
		t.Errorf("documents without a key: %v", err)
	}
}

// TestKeysChange: they are renewed when their time has passed and when a token names an unknown one; what is wrong changes nothing.
func TestKeysChange(t *testing.T) {
	p := externaltest.Start(t)
	s, clock := opened(t, p)
	published, err := token.Publish("https://me", "", "host", s)
	if err != nil {
		t.Fatal(err)
	}
	told := func(id string) bool {
		set, age := published.KeySet()
		if age > 600 {
			t.Errorf("others may keep the keys for %d s", age)
		}
		return strings.Contains(string(set), `"kid":"`+id+`"`)
	}
	p.Add(t, "second")
	if got := s.Find(t.Context(), "second"); len(got) != 1 || !told("second") || !told("first") {
		t.Errorf("a new key: found %v", got)
	}
	if got := s.Find(t.Context(), "third"); len(got) != 0 || p.Asked() != 3 {
		t.Errorf("an unknown key: found %v, asked %d times, want 3", got, p.Asked())
	}
	if got := s.Find(t.Context(), ""); len(got) != 2 || p.Asked() != 3 {
		t.Errorf("all keys: found %v, asked %d times, want 3", got, p.Asked())
	}
	p.Change(func(says *externaltest.Says) { says.Keys = []*externaljwt.Key{} })
	if got := s.Find(t.Context(), "third"); len(got) != 0 || len(s.Find(t.Context(), "first")) != 1 || !told("first") {
		t.Errorf("an answer without keys: found %v", got)
	}
	clock.Step(610 * time.Second)
	if age := s.MaxAge(); age != 0 {
		t.Errorf("what is to be asked for again may be kept for %d s", age)
	}
	for code, want := range map[string]float64{"OK": 3, "unknown-non-grpc": 1} {
		if got := testutil.ToFloat64(s.cfg.Metrics.fetches.WithLabelValues(code)); got != want {
			t.Errorf("%v questions counted with %s, want %v", got, code, want)
		}
	}
	if at := testutil.ToFloat64(s.cfg.Metrics.data.WithLabelValues()); at != 1_700_000_000 {
		t.Errorf("data time %v", at)
	}
}

// TestRun: by the hint, and ten seconds after a failure.
func TestRun(t *testing.T) {
	p := externaltest.Start(t)
	s, clock := opened(t, p)
	ctx, stop := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer ended.Wait()
	defer stop()
	after := func(wait time.Duration, asked int) {
		t.Helper()
		until(t, "the timer is set", clock.HasWaiters)
		clock.Step(wait - time.Second)
		if got := p.Asked(); got != asked-1 {
			t.Errorf("asked %d times a second early, want %d", got, asked-1)
		}
		clock.Step(time.Second)
		until(t, "the keys are asked for", func() bool { return p.Asked() == asked })
	}
	after(600*time.Second, 2)
	p.Change(func(says *externaltest.Says) { says.KeysError = errors.New("no"); says.Hint = 20 })
	after(600*time.Second, 3)
	p.Change(func(says *externaltest.Says) { says.KeysError = nil })
	after(10*time.Second, 4)
	after(20*time.Second, 5)
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("in vain: %s", what)
		case <-tick.C:
		}
	}
}

// TestOneQuestionAtATime: a hundred tokens with keys that nobody knows share a few questions.
func TestOneQuestionAtATime(t *testing.T) {
	p := externaltest.Start(t)
	s, _ := opened(t, p)
	s.asking <- struct{}{} // as if one were under way
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if got := s.Find(t.Context(), "unknown"); len(got) != 0 {
				t.Errorf("found %v", got)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.fetch(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait: %v", err)
	}
	<-s.asking
	all.Wait()
	if got := p.Asked(); got > 50 {
		t.Errorf("asked %d times", got)
	}
}
