// Prints as JSON what the tests' own code makes of files of results: run in the checkout.
import fs from 'node:fs'
import { determineTestResult, resultTypes } from './test-engine/lib/results.mjs'
import suites from './tests/index.mjs'

const caches = process.argv.slice(1).map(file => JSON.parse(fs.readFileSync(file)))
const word = result => Object.keys(resultTypes).find(name => resultTypes[name] === result)
const tests = suites.flatMap(suite => suite.tests).filter(test => !test.browser_only)
console.log(JSON.stringify(tests.map(test => ({
  ID: test.id,
  Name: test.name,
  Kind: test.kind ?? 'required',
  Results: caches.map(results => word(determineTestResult(suites, test.id, results))),
  Why: Array.isArray(caches[0][test.id]) ? caches[0][test.id].join(': ') : ''
}))))
