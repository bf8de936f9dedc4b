// Package booksource says where the price book in use comes from: embedded, a file that is polled instead of it, an
// http(s) address instead of both, and an overlay of own prices (JSON or YAML) on top.
//
// A newer book is read or fetched, checked and only then put in the place of the one in use, by one atomic store. What
// is refused leaves the last good book where it is and is reported. How a client of an address is made (TLS, proxy,
// credentials) is told from outside.
package booksource
