// Package authenticate asks another server whose a token is, by a TokenReview over HTTPS, as upstream's webhook token authenticator.
//
// # Vocabulary
//
// The audiences of a check are those that the token must be for; where a check names none, they are the API's own. An answer may name audiences: those that the
// token is for. One that names none is for the API.
//
// # Laws
//
//   - What is not answered is nobody's: an error, a refused status, an answer that is no review, or one for other audiences.
//   - A token that is good, and one that is nobody's, are remembered for the time that was set; errors, those that the server tells of a token among them, are not.
//     At most 32,768 of each are, by a hash of the token.
//   - How often and how long is asked, and how much of an answer is read, are the laws of package webhook.
//
// # What it leaves to others
//
// Which file names the server, and who else knows tokens, belong to package cluster. The server is trusted: it may name any user and any group.
package authenticate
