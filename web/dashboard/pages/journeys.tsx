// The ways sessions take, or, with a user in the address, one user's time line.
import { parameter } from '../route.ts'
import { People } from './people.tsx'
import { TimeLine } from './timeline.tsx'

export function Journeys() {
  const user = parameter('user')
  return user ? <TimeLine user={user} /> : <People />
}
