const fs = require('node:fs');
const path = require('node:path');

const folder = process.env.INPUT_FOLDER;
const limit = Number(process.env.INPUT_LIMIT);

const sizes = fs
  .readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => {
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    return { file, bytes: fs.statSync(file).size };
  });
const bytes = sizes.reduce((sum, { bytes }) => sum + bytes, 0);

console.log(`::group::${sizes.length} files in ${folder}`);
for (const { file, bytes } of sizes) console.log(`${String(bytes).padStart(8)}  ${file}`);
console.log('::endgroup::');

fs.appendFileSync(process.env.GITHUB_OUTPUT, `bytes=${bytes}\n`);
fs.appendFileSync(process.env.GITHUB_STATE, `bytes=${bytes}\n`);
if (bytes > limit) {
  console.log(`::error title=Source size::${folder} holds ${bytes} bytes, more than ${limit}`);
  process.exitCode = 1;
}
