// All that `npm test` checks: the artefact, the vectors and the linter. Prints "N passed, N failed" in the end.
import { readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stale } from '../build.mjs';
import { files, uncovered } from '../vectors.mjs';

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

check('the committed artefacts are what the sources compile to', () => (stale().length === 0 ? '' : `${stale()}: run \`npm run build\``));
for (const [path, content] of Object.entries(files())) {
  check(`${path} is what ethers makes`, () => (readFileSync(root + path, 'utf8') === content ? '' : 'run `npm run vectors`'));
}
check('every function and event of the contracts has a vector', () => uncovered().join(', '));
check('the linter has nothing to say', () => {
  const lint = spawnSync('npx', ['--no-install', 'solhint', '--max-warnings', '0', '--disc', 'src/**/*.sol'], { cwd: root, encoding: 'utf8' });
  return lint.status === 0 ? '' : lint.stdout + lint.stderr;
});

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
