// Package page is the bridge's page for people: HTML, style and scripts without any outside
// asset. It holds no data and no secret, so it is open to everybody: what it shows the
// browser asks of /v1/status beside it, with the token that its user has typed in.
package page

import (
	"embed"
	"net/http"
)

//go:embed index.html page.css icon.svg *.js
var files embed.FS

// contentPolicy lets the page load what this package has, and call the server that it came from.
// Scripts can make no markup of text, whatever the text is (Trusted Types).
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Register adds the page at / and its other files below /page/.
func Register(mux *http.ServeMux) {
	list, _ := files.ReadDir(".") // never fails: embedded
	for _, file := range list {
		path := "/page/" + file.Name()
		if file.Name() == "index.html" {
			path = "/{$}"
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { serve(w, r, file.Name()) })
	}
}

func serve(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // the next version's files go together, too
	http.ServeFileFS(w, r, files, name)
}
