// All that `npm test` checks: the artefacts, the vectors, the linter and the tests in Solidity. Prints "N passed, N failed" in the end.
import { readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stale } from '../build.mjs';
import { files, uncovered } from '../vectors.mjs';
import { forge, installed } from './forge.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
let [passed, failed] = [0, 0];

function check(sentence, test) {
  let problem = '';
  try {
    problem = test() ?? '';
  } catch (e) {
    problem = String(e);
  }
  if (problem === '') passed++;
  else failed++;
  console.log(`${problem === '' ? 'ok    ' : 'FAILED'} ${sentence}${problem === '' ? '' : '\n' + problem}`);
}

check('the committed artefacts are what the sources compile to', () => stale().map((name) => `${name}: run \`npm run build\``).join('\n'));
for (const [path, content] of Object.entries(files())) {
  check(`${path} is what ethers makes`, () => (readFileSync(root + path, 'utf8') === content ? '' : 'run `npm run vectors`'));
}
check('every function and event of the contracts has a vector', () => uncovered().join(', '));
check('the linter has nothing to say', () => {
  const lint = spawnSync('npx', ['--no-install', 'solhint', '--max-warnings', '0', '--disc', 'src/**/*.sol'], { cwd: root, encoding: 'utf8' });
  return lint.status === 0 ? '' : lint.stdout + lint.stderr;
});
if (installed) {
  check('the books hold, whoever does what in whatever order, in coin and in tokens of all kinds', () => {
    const run = forge(['test']);
    return run.status === 0 ? '' : run.stdout + run.stderr;
  });
} else {
  console.log('SKIPPED: no forge is installed for this machine, so no test in Solidity was run');
}

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
