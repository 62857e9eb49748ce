// Package apiregistration holds the one kind of apiregistration.k8s.io: APIService, which says who serves a group and version of the API.
//
// # Vocabulary
//
// An API service is local when it names no Service: this server answers for the group and version itself. All others are remote: requests are
// passed on to the Service that it names, and its condition Available says whether that answers.
//
// # What it leaves to others
//
// Making the local API services, of which Local says what they are, is controller/bootstrap's. Passing requests on and finding out who is available are api's.
package apiregistration
