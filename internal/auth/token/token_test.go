package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth"
)

const here = "https://kubernetes.default.svc.cluster.local"

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// objects is a world with one object of each kind; nil: there is none.
type objects struct {
	account *corev1.ServiceAccount
	pod     *corev1.Pod
	secret  *corev1.Secret
	node    *corev1.Node
}

func found[T any](o *T) (*T, error) {
	if o == nil {
		return nil, errors.New("it is not there")
	}
	return o, nil
}

func (o *objects) ServiceAccount(string, string) (*corev1.ServiceAccount, error) {
	return found(o.account)
}
func (o *objects) Pod(string, string) (*corev1.Pod, error)       { return found(o.pod) }
func (o *objects) Secret(string, string) (*corev1.Secret, error) { return found(o.secret) }
func (o *objects) Node(string) (*corev1.Node, error)             { return found(o.node) }

type world struct {
	objects
	clock   *clocktesting.FakeClock
	signer  *Signer
	issuer  *Issuer
	checker *Checker
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name + "-uid")}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{clock: clocktesting.NewFakeClock(began)}
	w.objects = objects{&corev1.ServiceAccount{ObjectMeta: meta("web")}, &corev1.Pod{ObjectMeta: meta("pod")}, &corev1.Secret{ObjectMeta: meta("secret")}, &corev1.Node{ObjectMeta: meta("node")}}
	if w.signer, err = NewSigner(private); err != nil {
		t.Fatal(err)
	}
	w.issuer = NewIssuer(here, w.signer)
	w.checker = NewChecker(Config{Issuers: []string{here}, Audiences: []string{here}, Keys: NewRing([]Key{w.signer.Key}), Objects: &w.objects, Clock: w.clock, Lookup: true})
	return w
}

func ref(name string) *Ref { return &Ref{name, name + "-uid"} }

func (w *world) issue(t testing.TB, change func(*Wish)) string {
	t.Helper()
	wish := Wish{Bound: Bound{Namespace: "default", Account: *ref("web")}, Audiences: []string{here}, Now: began, Life: time.Hour}
	if change != nil {
		change(&wish)
	}
	token, _, err := w.issuer.Issue(t.Context(), wish)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestUserOfToken(t *testing.T) {
	w := newWorld(t)
	token := w.issue(t, func(wish *Wish) { wish.Pod, wish.Node = ref("pod"), ref("node") })
	id, ok, err := w.checker.Check(t.Context(), token, nil)
	if !ok || err != nil {
		t.Fatalf("got %v, %v", ok, err)
	}
	u := id.User
	if u.Name != "system:serviceaccount:default:web" || u.UID != "web-uid" {
		t.Errorf("got user %q %q", u.Name, u.UID)
	}
	if want := []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}; !reflect.DeepEqual(u.Groups, want) {
		t.Errorf("got groups %q, want %q", u.Groups, want)
	}
	for name, want := range map[string]string{"pod-name": "pod", "pod-uid": "pod-uid", "node-name": "node", "node-uid": "node-uid"} {
		if got := u.Extra["authentication.kubernetes.io/"+name]; len(got) != 1 || got[0] != want {
			t.Errorf("extra %s: got %q, want %q", name, got, want)
		}
	}
	if got := u.Extra["authentication.kubernetes.io/credential-id"]; len(got) != 1 || !strings.HasPrefix(got[0], "JTI=") {
		t.Errorf("got credential %q", got)
	}
}

func TestRefusedForWhatIsThere(t *testing.T) {
	deleted := func(ago time.Duration) *metav1.Time { return &metav1.Time{Time: began.Add(-ago)} }
	onPod, onNode := func(w *Wish) { w.Pod = ref("pod") }, func(w *Wish) { w.Node = ref("node") }
	onSecret, onNothing := func(w *Wish) { w.Secret = ref("secret") }, func(*Wish) {}
	const invalidated = "service account token has been invalidated"
	for name, c := range map[string]struct {
		wish   func(*Wish)
		change func(*world)
		want   string // of the error; "": none
	}{
		"account gone":           {onNothing, func(w *world) { w.account = nil }, "it is not there"},
		"account anew":           {onNothing, func(w *world) { w.account.UID = "x" }, "service account UID (x) does not match claim (web-uid)"},
		"account ending":         {onNothing, func(w *world) { w.account.DeletionTimestamp = deleted(59 * time.Second) }, ""},
		"account ended":          {onNothing, func(w *world) { w.account.DeletionTimestamp = deleted(61 * time.Second) }, "service account default/web has been deleted"},
		"pod gone":               {onPod, func(w *world) { w.pod = nil }, invalidated},
		"pod anew":               {onPod, func(w *world) { w.pod.UID = "x" }, "pod UID (x) does not match service account pod ref claim (pod-uid)"},
		"pod ending":             {onPod, func(w *world) { w.pod.DeletionTimestamp = deleted(time.Minute) }, ""},
		"pod to end":             {onPod, func(w *world) { w.pod.DeletionTimestamp = deleted(-time.Hour) }, ""},
		"pod ended":              {onPod, func(w *world) { w.pod.DeletionTimestamp = deleted(2 * time.Minute) }, invalidated},
		"node gone":              {onNode, func(w *world) { w.node = nil }, invalidated},
		"node anew":              {onNode, func(w *world) { w.node.UID = "x" }, "node UID (x) does not match service account node ref claim (node-uid)"},
		"node ended":             {onNode, func(w *world) { w.node.DeletionTimestamp = deleted(2 * time.Minute) }, invalidated},
		"node of pod gone":       {func(w *Wish) { onPod(w); onNode(w) }, func(w *world) { w.node = nil }, ""},
		"secret gone":            {onSecret, func(w *world) { w.secret = nil }, invalidated},
		"secret anew":            {onSecret, func(w *world) { w.secret.UID = "x" }, "secret UID (x) does not match service account secret ref claim (secret-uid)"},
		"secret ended":           {onSecret, func(w *world) { w.secret.DeletionTimestamp = deleted(2 * time.Minute) }, invalidated},
		"at the end":             {onNothing, func(w *world) { w.clock.Step(time.Hour + time.Minute) }, ""},
		"after the end":          {onNothing, func(w *world) { w.clock.Step(time.Hour + 61*time.Second) }, "service account token has expired"},
		"a minute early":         {onNothing, func(w *world) { w.clock.SetTime(began.Add(-time.Minute)) }, ""},
		"too early":              {onNothing, func(w *world) { w.clock.SetTime(began.Add(-61 * time.Second)) }, "service account token is not valid yet"},
		"another audience":       {func(w *Wish) { w.Audiences = []string{"vault"} }, func(*world) {}, `token audiences ["vault"] is invalid for the target audiences ["` + here + `"]`},
		"one of its audiences":   {func(w *Wish) { w.Audiences = []string{"vault", here} }, func(*world) {}, ""},
		"no audience is the API": {func(w *Wish) { w.Audiences = nil }, func(*world) {}, ""},
		"another key":            {onNothing, func(w *world) { w.checker = NewChecker(withKeys(w.checker.Config, newWorld(t).signer.Key)) }, "invalid signature, no keys found"},
		"key of before": {onNothing, func(w *world) {
			w.checker = NewChecker(withKeys(w.checker.Config, newWorld(t).signer.Key, w.signer.Key))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token := w.issue(t, c.wish)
			c.change(w)
			_, ok, err := w.checker.Check(t.Context(), token, nil)
			if got := message(err); got != c.want || ok != (c.want == "") {
				t.Errorf("got %v %q, want %q", ok, got, c.want)
			}
		})
	}
}

func withKeys(cfg Config, keys ...Key) Config {
	cfg.Keys = NewRing(keys)
	return cfg
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// TestForged changes a good token in every place, and makes others by all that is known of how such tokens were forged.
func TestForged(t *testing.T) {
	w := newWorld(t)
	good := w.issue(t, nil)
	p := strings.Split(good, ".")
	header := func(h string) string { return b64(h) + "." + p[1] }
	kid := w.signer.ID
	hs := header(`{"alg":"HS256","kid":"` + kid + `"}`)
	der, err := x509.MarshalPKIXPublicKey(w.signer.Public)
	if err != nil {
		t.Fatal(err)
	}
	mac := func(secret []byte) string {
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(hs))
		return hs + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	other := newWorld(t)
	list := map[string]string{
		"empty": "", "dots": "..", "one part": p[0], "two parts": p[0] + "." + p[1], "four parts": good + "." + p[2], "no signature": p[0] + "." + p[1] + ".",
		"none": header(`{"alg":"none"}`) + ".", "none with signature": header(`{"alg":"none","kid":"`+kid+`"}`) + "." + p[2],
		"None": header(`{"alg":"None","kid":"`+kid+`"}`) + "." + p[2], "no algorithm": header(`{"kid":"`+kid+`"}`) + "." + p[2],
		"HS256 of DER": mac(der), "HS256 of PEM": mac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "HS256 of nothing": mac(nil),
		"ES384": header(`{"alg":"ES384","kid":"`+kid+`"}`) + "." + p[2], "RS256": header(`{"alg":"RS256","kid":"`+kid+`"}`) + "." + p[2],
		"another kid": header(`{"alg":"ES256","kid":"../../etc/passwd"}`) + "." + p[2], "critical": header(`{"alg":"ES256","crit":["exp"],"kid":"`+kid+`"}`) + "." + p[2],
		"key inside": header(`{"alg":"ES256","jwk":{"kty":"EC"}}`) + "." + p[2], "zero signature": p[0] + "." + p[1] + "." + b64(strings.Repeat("\x00", 64)),
		"other's signature": p[0] + "." + p[1] + "." + strings.Split(other.issue(t, nil), ".")[2], "other's token": other.issue(t, nil),
		"space before": " " + good, "space after": good + " ", "line after": good + "\n", "line inside": good[:20] + "\n" + good[20:], "padded": good + "=",
		"JSON form": `{"payload":"` + p[1] + `"}`, "oversized": good + strings.Repeat("A", auth.MaxTokenLength), "deep": b64(strings.Repeat("[", 9000)) + "." + p[1] + "." + p[2],
		"NUL": good + "\x00", "standard alphabet": strings.NewReplacer("-", "+", "_", "/").Replace(good) + "/",
	}
	for _, issuer := range []string{"", "https://elsewhere", here + "/", "HTTPS" + here[5:], legacyIssuer} {
		body, err := json.Marshal(claims{Issuer: issuer, Subject: "system:serviceaccount:kube-system:admin"})
		if err != nil {
			t.Fatal(err)
		}
		token, err := other.signer.Sign(t.Context(), body)
		if err != nil {
			t.Fatal(err)
		}
		list["issuer "+issuer] = token
	}
	for name, token := range list {
		if id, ok, err := w.checker.Check(t.Context(), token, nil); ok {
			t.Errorf("%s: taken for %q (%v)", name, id.User.Name, err)
		}
	}
	for i := range len(good) {
		if _, ok, _ := w.checker.Check(t.Context(), good[:i], nil); ok {
			t.Errorf("the first %d bytes are taken", i)
		}
		changed := []byte(good)
		if changed[i]++; changed[i] == '=' || changed[i] == '[' {
			changed[i] = 'A'
		}
		if _, ok, _ := w.checker.Check(t.Context(), string(changed), nil); ok {
			t.Errorf("with byte %d changed it is taken", i)
		}
	}
}

func TestLegacy(t *testing.T) {
	const marked = "the token in secret default/secret for service account default/web has been marked invalid. Use tokens from the TokenRequest API or manually created " +
		"secret-based tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token"
	for name, c := range map[string]struct {
		change func(*world)
		want   string
	}{
		"good":           {func(*world) {}, ""},
		"years later":    {func(w *world) { w.clock.Step(9 * 365 * 24 * time.Hour) }, ""},
		"secret gone":    {func(w *world) { w.secret = nil }, "Token has been invalidated"},
		"secret ending":  {func(w *world) { w.secret.DeletionTimestamp = &metav1.Time{Time: began} }, "Token has been invalidated"},
		"secret another": {func(w *world) { w.secret.Data["token"] = []byte("x") }, "Token does not match server's copy"},
		"account gone":   {func(w *world) { w.account = nil }, "it is not there"},
		"account anew":   {func(w *world) { w.account.UID = "x" }, "ServiceAccount UID (x) does not match claim (web-uid)"},
		"account ending": {func(w *world) { w.account.DeletionTimestamp = &metav1.Time{Time: began} }, "ServiceAccount default/web has been deleted"},
		"marked":         {func(w *world) { w.secret.Labels = map[string]string{invalidSince: "2026-01-01"} }, marked},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token, err := w.issuer.IssueLegacy(t.Context(), "default", *ref("web"), "secret")
			if err != nil {
				t.Fatal(err)
			}
			w.secret.Data = map[string][]byte{"token": []byte(token)}
			c.change(w)
			_, ok, err := w.checker.Check(t.Context(), token, nil)
			if got := message(err); got != c.want || ok != (c.want == "") {
				t.Errorf("got %v %q, want %q", ok, got, c.want)
			}
		})
	}
}

func TestKeysOfFiles(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for kind, der := range map[string][]byte{
		"RSA PRIVATE KEY": x509.MarshalPKCS1PrivateKey(rsaKey), "PRIVATE KEY": pkcs8, "PUBLIC KEY": pkix, "RSA PUBLIC KEY": x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey),
	} {
		keys, err := ParseKeys(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		if err != nil || len(keys) != 1 || keys[0].ID != signer.ID || keys[0].Algorithm != "RS256" {
			t.Errorf("%s: got %v, %v", kind, keys, err)
		}
	}
	for _, bad := range []string{"", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if keys, err := ParseKeys([]byte(bad)); err == nil {
			t.Errorf("%q: got %v, want an error", bad, keys)
		}
		if _, err := ParseSigner([]byte(bad)); err == nil {
			t.Errorf("%q: want an error of the signer", bad)
		}
	}
	w := newWorld(t)
	w.issuer = NewIssuer(here, signer)
	w.checker = NewChecker(withKeys(w.checker.Config, signer.Key, w.signer.Key))
	if _, ok, err := w.checker.Check(t.Context(), w.issue(t, nil), nil); !ok {
		t.Errorf("RSA: %v", err)
	}
}

// FuzzParse: whatever comes in, nothing that our key did not sign is taken, and nothing panics.
func FuzzParse(f *testing.F) {
	w := newWorld(f)
	good := w.issue(f, nil)
	for _, seed := range []string{good, "", "..", b64(`{"alg":"none"}`) + "." + b64(`{"iss":"`+here+`"}`) + "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, ok, _ := w.checker.Check(t.Context(), token, nil); ok && token != good {
			t.Errorf("taken: %q", token)
		}
	})
}
