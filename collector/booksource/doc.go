// Package booksource says where the price book in use comes from: embedded, or a file that is polled, with an overlay
// of own prices (JSON or YAML) on top.
//
// A newer book is read, checked and only then put in the place of the one in use, by one atomic store. What is refused
// leaves the last good book where it is and is reported. Network sources do not live here.
package booksource
