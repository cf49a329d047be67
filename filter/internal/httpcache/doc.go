// Package httpcache holds the rules of HTTP caching that need no proxy: which responses may be stored, how old they are
// and how long they are fresh, which requests they answer, how they are validated, and how a stored response is laid
// out in memory and in Redis (RFC 9110, 9111, 5861, 8246, 9213, 9875).
//
// It is pure and compiled into the filter: no net/http. Structured fields are read by package httpsfv, Cache-Control by package directive.
//
// # What RFC 9111 requires
//
// Each requirement of its sections 3 to 5 on a cache, with what shows that it is met: a test of this package, one of
// package exchange, or a scenario of test/scenarios, which runs on the simulator and on Envoy. It speaks of caches with
// "ttl": "origin"; what a rule with a TTL does otherwise is listed in package policy.
//
//   - §3 MUST NOT store unless the method is understood (GET; POST and QUERY where a rule makes the body the key): exchange.TestUnmatchedStreamIsUntouched, exchange.TestBodyKeyedRead, exchange.TestQuery, scenario rfc9111/query
//   - §3 MUST NOT store unless the status is final: TestStorableByOrigin
//   - §3 MUST NOT store 206 or 304, or with must-understand, unless the status is understood: TestStorableByOrigin, scenario rfc9111/statuses
//   - §3 MUST NOT store with no-store in the response: TestStorableByOrigin, scenario rfc9111/forbidden
//   - §3 MUST NOT store what is private, in a cache that is shared: TestStorableByOrigin, scenario rfc9111/forbidden
//   - §3 MUST NOT store what Authorization got, in a cache that is shared, unless it is allowed, also where the proxy has taken it away: TestStorableByOrigin, exchange.TestAuthorizationThatWasTakenAway, scenario rfc9111/forbidden
//   - §3 MUST NOT store unless public, private in its partition, Expires, max-age, s-maxage or the status allows it: TestStorableByOrigin, TestAgainstCacheControl, scenario rfc9111/statuses
//   - §3.1 MUST include all fields that it doesn't know: TestStoredFields, scenario hit-keeps-the-header-fields
//   - §3.1 MUST NOT store Connection and what it names, the fields of the connection and those of proxies' authentication: TestStoredFields
//   - §3.1 MAY store others than no-cache and private name: TestQualifiedFieldsAreNotStored, scenario rfc9111/fields
//   - §3.1 MUST NOT mix trailers with header fields (what has trailers isn't stored): TestPlanStore, exchange.TestIncompleteResponsesAreNotStored
//   - §3.2 MUST update stored fields by those of a 304, but for Content-Length and what the body depends on: TestRefreshed, scenario rfc9111/validation
//   - §3.2 MAY leave out fields that the cache itself has processed: TestRefreshed
//   - §3.3 MUST NOT store an incomplete response as a complete one: TestComplete, exchange.TestIncompleteResponsesAreNotStored
//   - §3.3 MUST NOT use a partial response for a whole one (none is stored): TestStorableByOrigin, exchange.TestMissOfAPart
//   - §3.3 MUST mark a part as 206: exchange.TestStoredResponseIsSelected, exchange.TestPartOfAResponseWithContentRange
//   - §3.4 MAY combine partial responses: not done
//   - §3.5 MUST NOT use what Authorization got without must-revalidate, public or s-maxage: TestStorableByOrigin
//   - §4 MUST NOT reuse unless URI and method match: exchange.TestTheKeyTellsRequestsApart
//   - §4 MUST NOT reuse unless what Vary names matches: TestVariant, exchange.TestVariants, scenario rfc9111/vary
//   - §4 MUST NOT reuse with no-cache unless it is validated: exchange.TestResponseThatNeedsValidation, scenario rfc9111/validation
//   - §4 MUST NOT reuse unless it is fresh, allowed to be stale, or validated: TestJudge, exchange.TestOriginSaysHowLong
//   - §4 MUST generate Age: exchange.TestOriginSaysHowLong, exchange.TestAgeCountsDelays
//   - §4 MUST write unsafe methods through: exchange.TestUnsafeRequestInvalidatesItsURI
//   - §4 MAY collapse requests: exchange.TestVariantsThatWaitForOneFetch
//   - §4 MUST use the most recent of several responses (one is kept for each variant): exchange.TestValidationThatFindsAnotherResponse
//   - §4 MUST validate each time without a clock (it has one, and gives a Date to what lacks it, RFC 9110 §6.6.1): exchange.TestDateOfWhatIsStored
//   - §4.1 MUST NOT use a response whose Vary has *: TestVary, scenario unstored-vary-star
//   - §4.1 MAY normalise what is compared: TestVariant
//   - §4.1 MAY choose among variants by preference (only an equal one answers): TestVariant
//   - §4.1 SHOULD choose a response with Vary before one without: exchange.TestVariantsBesideADefault
//   - §4.1 MUST NOT use what Vary makes another (nor a content coding without Vary, for another Accept-Encoding): TestVary, exchange.TestCodingThatSaysNothing
//   - §4.2 MUST calculate the lifetime by s-maxage, max-age, Expires, in this order: TestLifetime, TestAgainstCacheControl, scenario rfc9111/max-age
//   - §4.2 SHOULD read dates whatever their case, and take other zones than GMT for invalid: TestParseDate
//   - §4.2 MUST NOT let local time zones count: TestParseDate
//   - §4.2.1 SHOULD take the first of several values, or the response for stale: TestMaxAge, TestLifetime
//   - §4.2.1 SHOULD take invalid freshness for stale: TestMaxAge, scenario rfc9111/expires
//   - §4.2.2 MUST NOT use heuristics where a lifetime is stated, or for other statuses without public: TestLifetime
//   - §4.2.2 SHOULD NOT use more than a fraction of the time since Last-Modified: TestLifetime, scenario rfc9111/heuristic
//   - §4.2.3 MUST calculate the age by Age, Date, delay and time of residence: TestInitialAge, exchange.TestAgeCountsDelays
//   - §4.2.3 MUST count Age from when the request was sent: exchange.TestAgeCountsDelays
//   - §4.2.4 MUST NOT generate a stale response where a directive forbids it: TestJudge, TestOnError, scenario rfc9111/stale-if-error
//   - §4.2.4 MUST NOT generate a stale response unless it is disconnected or told so: TestJudge, exchange.TestStaleIfError, exchange.TestStaleWhileRevalidate, exchange.TestRefresh
//   - §4.3.1 MUST use the stored validators: TestConditions, exchange.TestValidation
//   - §4.3.1 MUST send the entity tag, and SHOULD send Last-Modified: TestConditions
//   - §4.3.2 MUST NOT evaluate If-Match and If-Unmodified-Since (they are forwarded): exchange.TestBypass
//   - §4.3.2 MUST NOT evaluate preconditions where nothing is stored (the origin answers): exchange.TestConditionalRequestThatFetchesForOthers
//   - §4.3.2 SHOULD evaluate If-None-Match, and only without it If-Modified-Since: TestNotModified, exchange.TestStoredResponseIsSelected
//   - §4.3.2 SHOULD compare If-Modified-Since with Last-Modified, or with Date without that, or with when it came: TestNotModified, exchange.TestDateOfWhatIsStored
//   - §4.3.2 SHOULD generate 304 for what matches: exchange.TestStoredResponseIsSelected, scenario if-none-match-is-answered-from-what-is-stored
//   - §4.3.2 MAY ask for the client's entity tags beside the stored one (the stored one alone is asked for), and MUST answer 200 where the 304 confirms what the client hasn't: exchange.TestValidationForAConditionalRequest
//   - §4.3.2 MUST evaluate If-Range with Range (never as true where there may be other codings): TestRangeOf, exchange.TestStoredResponseIsSelected, exchange.TestCodingThatSaysNothing
//   - §4.3.2 MUST compare with the tag of the coding that would be selected (RFC 9110 §8.8.3.3), also where an origin wrongly gives all codings one tag: exchange.TestTagOfEachCoding, exchange.TestTagThatCodingsShare
//   - §4.3.3 MUST use a full response to a validation, and MAY store it: exchange.TestValidationThatFindsAnotherResponse
//   - §4.3.3 MAY use a stale response when the validation fails with a 5xx: exchange.TestStaleIfError
//   - §4.3.4 MUST NOT update by a 304 whose validator is another one: TestConfirms, exchange.TestValidationThatConfirmsSomethingElse
//   - §4.3.4 MUST update what the 304 confirms: exchange.TestValidation
//   - §4.3.5 SHOULD update, or consider stale, by the response to a HEAD that was forwarded (neither, where that has no validator and the right length): TestLikeHead, exchange.TestHeadUpdates, scenario rfc9111/head
//   - §4.4 MUST invalidate the target URI after a non-error response to an unsafe or unknown method: exchange.TestUnsafeRequestInvalidatesItsURI, scenario rfc9111/unsafe-methods
//   - §4.4 asks for nothing after an error (a 5xx invalidates all the same, since the origin may have written, unless the policy says that it hasn't: unchanged_on): exchange.TestErrorThatMayHaveCommitted, exchange.TestStatusThatMeansNothingWasWritten, scenario rfc9111/unchanged-on
//   - §4.4 MAY invalidate Location and Content-Location: exchange.TestResponseNamesWhatItInvalidates, scenario rfc9111/location
//   - §4.4 MUST NOT invalidate URIs of another origin: exchange.TestResponseNamesWhatItInvalidates
//   - §5.1 MUST send Age of what wasn't validated for this request: exchange.TestOriginSaysHowLong
//   - §5.1 SHOULD take the first of several ages, and ignore what is none: TestInitialAge
//   - §5.2 MUST obey the directives, whatever their case, and accept both forms of arguments: TestMaxAge, TestDirectives
//   - §5.2 MUST ignore directives that it doesn't know: TestMaxAge
//   - §5.2 MUST pass the directives on: e2e.TestPassThrough
//   - §5.2.1.1 max-age: TestJudge, exchange.TestRequestDirectives
//   - §5.2.1.2 max-stale: TestJudge, exchange.TestRequestDirectives
//   - §5.2.1.3 min-fresh: TestJudge, exchange.TestRequestDirectives
//   - §5.2.1.4 no-cache: TestJudge, exchange.TestRequestDirectives
//   - §5.2.1.5 MUST NOT store with no-store in the request: exchange.TestBypass, scenario bypass-no-store
//   - §5.2.1.7 SHOULD answer only-if-cached with 504 where nothing will do: exchange.TestOnlyIfCached, scenario rfc9111/request-directives
//   - §5.2.2.2, §5.2.2.8 MUST NOT reuse stale with must-revalidate or proxy-revalidate: TestJudge, TestStaleWindows, exchange.TestStaleIfError
//   - §5.2.2.2 MUST generate an error rather than reuse with must-revalidate, which SHOULD be 504 (the proxy's own: 503, or 504 after a timeout): exchange.TestStaleIfError
//   - §5.2.2.3 SHOULD ignore no-store beside must-understand for a status that is understood: TestStorableByOrigin
//   - §5.2.2.4 MUST NOT use what no-cache names without validation: TestFieldNamesOfDirectives, TestQualifiedFieldsAreNotStored
//   - §5.2.2.6 MUST NOT transform the content with no-transform (nothing ever is): e2e.TestPassThrough, exchange.TestStoredResponseIsSelected
//   - §5.2.2.7 MUST NOT store what private names, in a cache that is shared: TestQualifiedFieldsAreNotStored, scenario rfc9111/fields
//   - §5.2.2.9 MAY store with public what would otherwise not be: TestStorableByOrigin
//   - §5.2.2.10 s-maxage overrides max-age and Expires and forbids stale use: TestLifetime, TestStaleWindows
//   - §5.3 MUST take an invalid Expires, "0" above all, for the past: TestLifetime, TestParseDate, scenario rfc9111/expires
//   - §5.3 MUST ignore Expires beside max-age or s-maxage: TestLifetime
//   - §5.4 Pragma counts only without Cache-Control: TestPragma, scenario rfc9111/request-directives
package httpcache
