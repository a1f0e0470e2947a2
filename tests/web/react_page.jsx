// A page with React as somebody would write it who has installed the package.
import { Journeymesh, useJourneymesh } from '@journeymesh/browser/react'
import { start as signs } from '@journeymesh/browser/signs'
import { StrictMode, useEffect, useState } from 'react'

function Shop({ name }) {
  const journeymesh = useJourneymesh()
  const [searches, setSearches] = useState(0)
  useEffect(() => void Object.assign(globalThis, { tracker: journeymesh }), [journeymesh])
  useEffect(() => void journeymesh?.track('feature_interaction', { feature: `shows ${name}` }), [journeymesh, name])
  const search = () => {
    setSearches(searches + 1)
    void journeymesh?.track('task_failure', { task: 'search' })
  }
  return (
    <main>
      <button id="search" onClick={search}>Search</button> <output>{searches}</output>
      <button id="broken">Broken</button>
    </main>
  )
}

export function Page({ server }) {
  const [user, setUser] = useState({ id: 'ada' })
  const [isShown, setShown] = useState(true)
  const [renders, setRenders] = useState(0)
  useEffect(() => void Object.assign(globalThis, { setUser, setShown, setRenders }), [])
  return (
    <StrictMode>
      <p id="renders">{renders}</p>
      {isShown && (
        <Journeymesh server={server} parts={[signs]} user={user}>
          <Shop name="shop" />
        </Journeymesh>
      )}
    </StrictMode>
  )
}
