// Builds web/built: node build.mjs. The same sources give the same bytes.
// Scripts have fixed names, which pages of others carry; what a page of ours loads is named by its content.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, parse } from 'node:path'
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

for (const [path, source] of Object.entries(scripts)) {
  const format = path.includes('/') ? 'esm' : 'iife'
  const { outputFiles } = await esbuild.build({ ...options, entryPoints: [source], format })
  files.set(path, Buffer.from(outputFiles[0].contents))
}

const sizes = {}
// A page is a folder with index.html. What that names with ./ is built if it is a source, and served by a name with a hash.
// What a script imports later is a file of its own; what it needs at once counts as its own size.
for (const [path, folder] of Object.entries(pages)) {
  if (!existsSync(join(here, folder, 'index.html'))) continue
  let html = await readFile(join(here, folder, 'index.html'), 'utf8')
  for (const name of new Set([...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map((match) => match[1]))) {
    const served = `${path}/${/\.tsx?$/.test(name) ? await script(path, `${folder}/${name}`) : await asset(path, `${folder}/${name}`)}`
    html = html.replaceAll(`"./${name}"`, `"/${served}"`)
  }
  files.set(`${path}/index.html`, Buffer.from(html))
}

async function asset(path, source) {
  const { name: stem, ext } = parse(source)
  if (ext !== '.css') return keep(path, stem, ext, await readFile(join(here, source)))
  const { outputFiles } = await esbuild.build({ ...options, entryPoints: [source] })
  return keep(path, stem, ext, Buffer.from(outputFiles[0].contents))
}

async function script(path, source) {
  const names = { outdir: here, entryNames: '[name]', chunkNames: '[name]-[hash]' }
  const { outputFiles, metafile } = await esbuild.build({ ...options, ...names, entryPoints: [source], format: 'esm', splitting: true, metafile: true })
  const texts = new Map(outputFiles.map((file) => [basename(file.path), file.text]))
  const served = new Map()
  const serve = (name) => {
    if (!served.has(name)) {
      let text = texts.get(name)
      for (const other of texts.keys()) if (other !== name && text.includes(`"./${other}"`)) text = text.replaceAll(`"./${other}"`, `"./${serve(other)}"`)
      served.set(name, keep(path, parse(name).name.replace(/-[0-9A-Z]{8}$/, ''), '.js', Buffer.from(text)))
    }
    return served.get(name)
  }
  const entry = `${parse(source).name}.js`
  const atOnce = metafile.outputs[entry].imports.filter(({ kind }) => kind === 'import-statement')
  const found = serve(entry)
  sizes[`${path}/${entry}`] = [entry, ...atOnce.map((each) => each.path)].map((name) => gzipped(files.get(`${path}/${serve(name)}`)).length).reduce((one, other) => one + other)
  return found
}

function keep(path, stem, extension, bytes) {
  const name = `${stem}-${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}${extension}`
  files.set(`${path}/${name}`, bytes)
  return name
}

function gzipped(bytes) {
  return gzipSync(bytes, { level: 9 })
}

await rm(target, { recursive: true, force: true })
for (const [path, bytes] of files) {
  await mkdir(dirname(join(target, path)), { recursive: true })
  await writeFile(join(target, path), bytes)
  if (path.endsWith('.webm')) continue
  const gzip = gzipped(bytes)
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } })
  await writeFile(join(target, `${path}.gz`), gzip)
  await writeFile(join(target, `${path}.br`), brotli)
  sizes[path.replace(/-[0-9a-f]{12}\./, '.')] ??= gzip.length
}

// Gzip bytes against what sizes.json allows.
const large = Object.entries(sizes).filter(([path, size]) => size > (limits[path] ?? Infinity))
for (const [path, size] of large) console.error(`${path} has ${size} bytes with gzip; sizes.json allows ${limits[path]}.`)
process.exitCode = large.length ? 1 : 0
