// Builds web/built: node build.mjs. The same sources give the same bytes.
// Scripts have fixed names, which pages of others carry; what a page of ours loads is named by its content.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, parse } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import esbuild from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const target = process.argv[2] ?? join(here, 'built')
const limits = JSON.parse(await readFile(join(here, 'sizes.json'), 'utf8'))

// By the path they are served at.
const scripts = { 't.js': 'tracker/script.ts', 't/signs.js': 'tracker/signs.ts', 't/video.js': 'tracker/video.ts', 'widget.js': 'widget/script.ts' }
const pages = { app: 'dashboard', demo: 'demo' }

const options = {
  absWorkingDir: here,
  bundle: true,
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
  minify: true,
  target: 'es2022',
  write: false,
}

const files = new Map()
// By the script of a page, what it imports at once.
const atOnce = new Map()

for (const [path, source] of Object.entries(scripts)) {
  const format = path.includes('/') ? 'esm' : 'iife'
  const { outputFiles } = await esbuild.build({ ...options, entryPoints: [source], format })
  files.set(path, Buffer.from(outputFiles[0].contents))
}

// A page is a folder with index.html. What that names with ./ is built if it is a source, and served by a name with a hash.
for (const [path, folder] of Object.entries(pages)) {
  if (!existsSync(join(here, folder, 'index.html'))) continue
  let html = await readFile(join(here, folder, 'index.html'), 'utf8')
  for (const name of new Set([...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map((match) => match[1]))) {
    const { stem, extension, bytes, parts } = await asset(`${folder}/${name}`, name)
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
    const served = `${path}/${stem}-${hash}${extension}`
    files.set(served, bytes)
    for (const part of parts) files.set(`${path}/${part.name}`, part.bytes)
    atOnce.set(served, parts.filter(({ isAtOnce }) => isAtOnce).map((part) => `${path}/${part.name}`))
    html = html.replaceAll(`"./${name}"`, `"/${served}"`)
  }
  files.set(`${path}/index.html`, Buffer.from(html))
}

// A file of a page, and the parts of a script: those that it imports at once, and those that it imports later.
async function asset(source, name) {
  const { name: stem, ext } = parse(name)
  if (!['.ts', '.tsx', '.css'].includes(ext)) return { stem, extension: ext, bytes: await readFile(join(here, source)), parts: [] }
  const split = { format: 'esm', splitting: true, outdir: '.', entryNames: '[name]', chunkNames: '[name]-[hash]', metafile: true }
  const { outputFiles, metafile } = await esbuild.build({ ...options, ...split, entryPoints: [source] })
  const extension = ext === '.css' ? ext : '.js'
  const built = outputFiles.map(({ path, contents }) => ({ name: parse(path).base, bytes: Buffer.from(contents) }))
  const whole = built.find((each) => each.name === stem + extension)
  const imported = importedAtOnce(metafile.outputs, whole.name)
  const parts = built.filter((each) => each !== whole).map((part) => ({ ...part, isAtOnce: imported.has(part.name) }))
  return { stem, extension, bytes: whole.bytes, parts }
}

function importedAtOnce(outputs, name, found = new Set()) {
  const needed = outputs[name].imports.filter(({ kind, path }) => kind === 'import-statement' && !found.has(path))
  for (const { path } of needed) importedAtOnce(outputs, path, found.add(path))
  return found
}

await rm(target, { recursive: true, force: true })
const zipped = new Map()
for (const [path, bytes] of files) {
  await mkdir(dirname(join(target, path)), { recursive: true })
  await writeFile(join(target, path), bytes)
  if (path.endsWith('.webm')) continue
  const gzip = gzipSync(bytes, { level: 9 })
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } })
  await writeFile(join(target, `${path}.gz`), gzip)
  await writeFile(join(target, `${path}.br`), brotli)
  zipped.set(path, gzip.length)
}

// Gzip bytes against what sizes.json allows: a script counts with what it imports at once, a part of a page for itself.
const imported = new Set([...atOnce.values()].flat())
for (const [path, size] of zipped) {
  if (imported.has(path)) continue
  const name = path.replace(/-(?:[0-9a-f]{12}|[0-9A-Z]{8})\./, '.')
  const whole = (atOnce.get(path) ?? []).reduce((sum, part) => sum + zipped.get(part), size)
  const limit = limits[name] ?? (/-[0-9A-Z]{8}\./.test(path) ? limits.part : Infinity)
  if (whole <= limit) continue
  console.error(`${name} has ${whole} bytes with gzip; sizes.json allows ${limit}.`)
  process.exitCode = 1
}
