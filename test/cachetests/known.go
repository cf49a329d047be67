package main

// What several tests share.
const (
	byEnvoy       = "Envoy's doing, with and without the filter: "
	neverPartial  = "what isn't whole is never stored (RFC 9111 section 3.3 allows it)"
	setCookie     = "what sets a cookie is meant for one client, and stored only where no-cache=\"set-cookie\" or private=\"set-cookie\" says that the rest may be"
	languageOrder = "many servers go by the order of languages, although none has to (RFC 9110 section 12.5.4)"
)

// known says why chatcache doesn't pass a test.
var known = map[string]string{
	"freshness-max-age-s-maxage-shared-longer-multiple": byEnvoy + `it joins the lines of Cache-Control by "," where the test wants ", "`,
	"headers-store-Transfer-Encoding":                   byEnvoy + "it answers 502 in place of a response with an invalid Transfer-Encoding",
	"headers-store-Set-Cookie":                          setCookie,
	"other-set-cookie":                                  setCookie,

	"method-POST":                "responses to POST answer no GET (RFC 9110 section 9.3.3 allows it)",
	"vary-normalise-lang-order":  languageOrder,
	"vary-normalise-lang-select": "no variant is chosen by what the client would accept: only the origin knows which others there are",
	"conditional-lm-fresh-no-lm": "the response's Date is later than the request's If-Modified-Since, so it has been modified (RFC 9111 section 4.3.2); the test wants 304",

	"partial-store-partial-reuse-partial":           neverPartial,
	"partial-store-partial-reuse-partial-byterange": neverPartial,
	"partial-store-partial-reuse-partial-absent":    neverPartial,
	"partial-store-partial-reuse-partial-suffix":    neverPartial,
	"partial-store-partial-complete":                neverPartial,
}
