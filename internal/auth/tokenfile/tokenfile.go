// Package tokenfile knows users by the tokens of a file, as kube-apiserver's --token-auth-file.
//
// # Vocabulary
//
// The file is CSV (RFC 4180), a record a token: token, user name, UID, and optionally groups, which are one field with commas in it.
//
// # Laws
//
//   - The file is read once. A token in it is good until the server starts again, so that this is for tests and for the first steps of a cluster.
//   - Of records with one token the last counts; a record without a token counts for nothing. Both are told.
//   - Only hashes of tokens are kept, and a token is found by its hash, so that the time that takes says nothing about tokens that are there.
//
// # What it leaves to others
//
// Caching, and the group of all who are known, belong to auth.
package tokenfile

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/floe-k8s/floe/internal/auth"
)

// Tokens are those of a file. They are immutable.
type Tokens struct {
	users map[[sha256.Size]byte]auth.User
}

// Open reads a file.
func Open(path string, log *slog.Logger) (*Tokens, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(file, path, log)
}

func read(from io.Reader, path string, log *slog.Logger) (*Tokens, error) {
	t := &Tokens{users: map[[sha256.Size]byte]auth.User{}}
	records := csv.NewReader(from)
	records.FieldsPerRecord = -1
	for n := 1; ; n++ {
		record, err := records.Read()
		switch {
		case errors.Is(err, io.EOF):
			return t, nil
		case err != nil:
			return nil, fmt.Errorf("token file '%s': %w", path, err)
		case len(record) < 3:
			return nil, fmt.Errorf("token file '%s' must have at least 3 columns (token, user name, user uid), found %d", path, len(record))
		case record[0] == "":
			log.Warn("a record of the token file has no token", "file", path, "record", n)
			continue
		}
		user := auth.User{Name: record[1], UID: record[2]}
		if len(record) > 3 {
			user.Groups = strings.Split(record[3], ",")
		}
		key := sha256.Sum256([]byte(record[0]))
		if _, twice := t.users[key]; twice {
			log.Warn("a token stands in the token file twice; the later record counts", "file", path, "record", n)
		}
		t.users[key] = user
	}
}

// Check is an auth.TokenChecker of tokens for the API.
func (t *Tokens) Check(_ context.Context, token string, _ []string) (auth.Identity, bool, error) {
	user, ok := t.users[sha256.Sum256([]byte(token))]
	return auth.Identity{User: user}, ok, nil
}
