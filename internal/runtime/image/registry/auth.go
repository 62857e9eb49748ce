package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// ErrUnauthorized says that a registry refuses who asks.
var ErrUnauthorized = errors.New("unauthorized")

// Auth is who asks. The zero value is nobody.
type Auth struct {
	// Username and Password are for Basic authentication and for token servers.
	Username, Password string
	// IdentityToken is given to the token server instead of a password.
	IdentityToken string
	// RegistryToken is given to the registry as it is.
	RegistryToken string
	// Server is the host that all this is for, as HOST[:PORT] or an URL; "" means every host of the registry.
	Server string
}

// ParseAuth reads the form that Docker's configuration has: base64 of USER:PASSWORD.
func ParseAuth(encoded string) (Auth, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return Auth{}, errors.New("auth is not base64 of USER:PASSWORD") // without what was in it
	}
	user, password, ok := strings.Cut(string(data), ":")
	if !ok {
		return Auth{}, errors.New("auth is not base64 of USER:PASSWORD")
	}
	return Auth{Username: user, Password: strings.Trim(password, "\x00")}, nil
}

// forHost is what a host gets to see.
func (a Auth) forHost(host string) Auth {
	server := a.Server
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		server = u.Host
	}
	if server != "" && server != host {
		return Auth{}
	}
	return a
}

func (a Auth) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Username+":"+a.Password))
}

// authorizer answers one host's challenges about one repository.
type authorizer struct {
	auth   Auth
	scope  string
	client *http.Client
	header http.Header

	mu    sync.Mutex
	value string // of the header Authorization; "" before the first challenge
}

func newAuthorizer(auth Auth, repository string, client *http.Client, header http.Header) *authorizer {
	a := &authorizer{auth: auth, scope: "repository:" + repository + ":pull", client: client, header: header}
	if auth.RegistryToken != "" {
		a.value = "Bearer " + auth.RegistryToken
	}
	return a
}

func (a *authorizer) current() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.value
}

// answer finds what the challenges in an answer to a request ask for. used is what that request had; when another goroutine has found a
// better one since, that is it.
func (a *authorizer) answer(ctx context.Context, resp *http.Response, used string) error {
	if a.current() != used {
		return nil
	}
	for _, c := range challenges(resp.Header.Values("WWW-Authenticate")) {
		var value string
		switch {
		case c.scheme == "bearer":
			token, err := a.token(ctx, resp.Request.URL, c)
			if err != nil {
				return err
			}
			value = "Bearer " + token
		case c.scheme == "basic" && a.auth.Username != "":
			value = a.auth.basic()
		default:
			continue
		}
		if value == used {
			break // it has been tried
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.value = value
		return nil
	}
	return fmt.Errorf("%s: %w", resp.Request.URL.Host, ErrUnauthorized)
}

// maxToken bounds the answer of a token server, in bytes.
const maxToken = 1 << 20

// token asks the realm of a challenge for a token, as Docker's clients do: by GET with name and password or as nobody, by POST with an identity token.
func (a *authorizer) token(ctx context.Context, from *url.URL, c challenge) (string, error) {
	realm, err := url.Parse(c.params["realm"])
	if err != nil || realm.Host == "" || (realm.Scheme != "http" && realm.Scheme != "https") {
		return "", fmt.Errorf("%s: its challenge names no realm: %w", from.Host, ErrUnauthorized)
	}
	secret := a.auth.Username != "" || a.auth.IdentityToken != ""
	if secret && from.Scheme == "https" && realm.Scheme != "https" {
		return "", fmt.Errorf("%s: credentials are not sent to the realm %s without TLS: %w", from.Host, realm.Host, ErrUnauthorized)
	}
	q := url.Values{"service": {c.params["service"]}, "scope": a.scopes(c.params["scope"])}
	req, err := a.tokenRequest(ctx, realm, q)
	if err != nil {
		return "", err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("token for %s: %w", from.Host, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	if err != nil {
		return "", fmt.Errorf("token for %s from %s: %w", from.Host, realm.Host, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("token for %s from %s: %w", from.Host, realm.Host, newStatusError(resp))
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", fmt.Errorf("token for %s from %s: the answer is not the JSON that it should be", from.Host, realm.Host)
	}
	token := answer.Token
	if token == "" {
		token = answer.AccessToken
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("token for %s from %s: the answer has none", from.Host, realm.Host)
	}
	return token, nil
}

func (a *authorizer) tokenRequest(ctx context.Context, realm *url.URL, q url.Values) (*http.Request, error) {
	if a.auth.IdentityToken != "" {
		q.Set("grant_type", "refresh_token")
		q.Set("client_id", "floe")
		q.Set("refresh_token", a.auth.IdentityToken)
		q.Set("scope", strings.Join(q["scope"], " "))
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(q.Encode()))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req, nil
	}
	address := *realm
	merged := address.Query()
	for k, v := range q {
		merged[k] = v
	}
	address.RawQuery = merged.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	for name, values := range a.header {
		req.Header[name] = slices.Clone(values)
	}
	if a.auth.Username != "" {
		req.Header.Set("Authorization", a.auth.basic())
	}
	return req, nil
}

// scopes are what the challenge asks for and what will be needed.
func (a *authorizer) scopes(asked string) []string {
	all := strings.Fields(asked)
	if !slices.Contains(all, a.scope) {
		all = append(all, a.scope)
	}
	return all
}
