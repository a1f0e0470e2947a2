// The dashboard: what is around every page.
import { render, type ComponentType } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { person, signOut } from './api.ts'
import { PAGES, type Page } from './pages.ts'
import { Choice } from './parts.tsx'
import { days, page, to } from './route.ts'
import { theme, THEMES } from './theme.ts'
import { counted, named } from './words.ts'

const SPANS: [string, string][] = [['1', 'Today'], ['7', '7 days'], ['28', '28 days'], ['90', '90 days']]

/** The choices, with that of an address that names another. */
const spans = (): [string, string][] =>
  SPANS.some(([value]) => Number(value) === days.value) ? SPANS : [...SPANS, [String(days.value), counted(days.value, 'day')]]

function Dashboard() {
  const shown = PAGES.find(({ path }) => path === page.value)
  const title = shown?.title ?? 'No such page'
  const heading = useRef<HTMLHeadingElement>(null)
  const isFirst = useRef(true)
  useEffect(() => {
    document.title = `${title} · Journeymesh`
    if (!isFirst.current) heading.current?.focus()
    isFirst.current = false
  }, [title])
  return (
    <>
      <a class="skip" href="#content">Skip to the content</a>
      <header class="top">
        <a class="brand" href={to('')}><img src={document.querySelector<HTMLLinkElement>('link[rel=icon]')?.href} alt="" width="24" height="24" />Journeymesh</a>
        <nav aria-label="Pages">
          {PAGES.map(({ path, title: name }) => <a href={to(path)} aria-current={path === page.value ? 'page' : undefined}>{name}</a>)}
        </nav>
        <div class="settings">
          <label class="choice">
            Theme{' '}
            <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value)}>
              {THEMES.map((each) => <option value={each}>{named(each)}</option>)}
            </select>
          </label>
          {person.value && <span>{person.value.name} <button type="button" onClick={signOut}>Sign out</button></span>}
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <div class="title">
          <h1 ref={heading} tabIndex={-1}>{title}</h1>
          {shown?.hasDays && <Choice label="Show" name="days" value={String(days.value)} options={spans()} />}
        </div>
        {shown ? <Shown of={shown} /> : <p class="note">There is no page of this name. <a href={to('')}>Go to what happens now.</a></p>}
      </main>
    </>
  )
}

const loaded = new Map<Page, ComponentType>()

function Shown({ of }: { of: Page }) {
  const [failed, setFailed] = useState<Page>()
  const [, setArrived] = useState<Page>()
  useEffect(() => {
    if (loaded.has(of)) return
    of.load().then(
      (View) => {
        loaded.set(of, View)
        setArrived(of)
      },
      () => setFailed(of),
    )
  }, [of])
  const View = loaded.get(of)
  if (View) return <View />
  if (failed !== of) return <p class="waiting" role="status">Loading…</p>
  return (
    <div class="note" role="alert">
      <p>This page could not be loaded: the mesh is away, or was upgraded meanwhile.</p>
      <p><button type="button" onClick={() => location.reload()}>Load it again</button></p>
    </div>
  )
}

const root = document.createElement('div')
document.body.append(root)
render(<Dashboard />, root)
