"""Texts with personal data and secrets, and texts that only look like it. `python -m tests.ingest.labelled` measures.

In a text `{…}` marks what is to be masked, and a label says its kind. A text without a mark must stay as it is. Numbers
of cards and accounts are those that issuers publish for tests; telephone numbers are of the ranges kept for fiction
where a country has them.
"""

import collections
import re
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from services.ingest.accept.domain.masking.json_text import masked_json
from services.ingest.accept.domain.masking.kinds import ALL, KINDS, MASKS
from services.ingest.accept.domain.masking.texts import masked_text

TEXTS: Final[dict[str, str]] = {
    "email": r"""
{ada@example.org}
{ada.lovelace@example.org}
{ada+news@example.co.uk}
{a@b.io}
{ADA@EXAMPLE.ORG}
{ada_l@mail.example.museum}
{o'brien@example.ie}
{ada-lovelace@sub.mail.example.com}
{1234567@qq.example}
{josé@exämple.de}
{用户@例子.广告}
{ада@пример.рф}
write to {ada@example.org}, please
<{ada@example.org}>
Ada Lovelace <{ada@example.org}>
mailto:{ada@example.org}
mailto:{ada@example.org}?subject=hi
({ada@example.org})
"{ada@example.org}"
'{ada@example.org}'
{ada@example.org};{bob@example.org}
{ada@example.org},{bob@example.org}
{ada@example.org}.
user {ada@example.org}: not found
/users/{ada@example.org}/orders
/users/{ada%40example.org}/orders
/users/{ada%2540example.org}
/login?email={ada@example.org}
/login?email={ada%40example.org}&next=%2F
/login?email={ada%2Bx%40example.org}
/login?next=%2Fa%3Femail%3D{ada%40example.org}
https://shop.example/u/{ada@example.org}?x=1#top
email={ada@example.org}&x=1
contact:{ada@example.org}
[{ada@example.org}]
Duplicate entry '{ada@example.org}' for key 'users.email'
Key (email)=({ada@example.org}) already exists.
SMTP 550 5.1.1 <{ada@example.org}>: Recipient address rejected
Hello {ada@example.org}! Welcome back
to:{ada@example.org} cc:{bob@example.org}
{first.last@very-long-company-name-with-hyphens.example.com}
{ada@x-y.example}
{ada@mail.example.photography}
Sent from {ada@example.org}/ipad
{ada.b.c.d@example.fr}
{ada@123.example.com}
{info@3m.example}
""",
    "phone": r"""
{+49 171 1234567}
{+491711234567}
{+49 (0) 171 1234567}
{+49-171-1234567}
{+49 171/1234567}
{+49 30 901820}
{+1 555 123 4567}
{+1-555-123-4567}
{+1 (555) 123-4567}
{+1.555.123.4567}
{+15551234567}
{+44 20 7946 0958}
{+44 (0)20 7946 0958}
{+442079460958}
{+44 7700 900123}
{+33 6 12 34 56 78}
{+33 1 23 45 67 89}
{+33612345678}
{+34 612 34 56 78}
{+39 347 123 4567}
{+31 6 12345678}
{+32 470 12 34 56}
{+41 44 668 18 00}
{+43 664 1234567}
{+45 20 12 34 56}
{+46 70 123 45 67}
{+47 912 34 567}
{+48 601 123 456}
{+351 912 345 678}
{+353 87 123 4567}
{+358 40 1234567}
{+372 5123 4567}
{+380 50 123 4567}
{+420 601 123 456}
{+7 912 345-67-89}
{+81 90-1234-5678}
{+82 10-1234-5678}
{+86 138 0013 8000}
{+8613800138000}
{+91 98765 43210}
{+91-98765-43210}
{+61 2 9876 5432}
{+61 412 345 678}
{+64 21 123 4567}
{+55 11 91234-5678}
{+52 55 1234 5678}
{+54 9 11 1234-5678}
{+27 82 123 4567}
{+234 803 123 4567}
{+971 50 123 4567}
{+966 50 123 4567}
{+972 52-123-4567}
{+90 532 123 45 67}
{+65 8123 4567}
{+852 5123 4567}
{+63 917 123 4567}
{+62 812-3456-7890}
{+84 91 234 56 78}
{+66 81 234 5678}
{0049 171 1234567}
{0044 20 7946 0958}
{0171 1234567}
{0171/1234567}
{0171-1234567}
{030 901820 12}
{(030) 1234567}
{(0171) 1234567}
{089/1234-567}
{020 7946 0958}
{07700 900123}
{01632 960 960}
{06 12 34 56 78}
{06.12.34.56.78}
{06-12-34-56-78}
{01 23 45 67 89}
{044 668 18 00}
{06-12345678}
{0470 12 34 56}
{02 9876 5432}
{(02) 9876 5432}
{0412 345 678}
{090-1234-5678}
{03-1234-5678}
{010-1234-5678}
{098765 43210}
{(11) 91234-5678}
{01711234567}
{612 345 678}
{20 12 34 56}
{(555) 123-4567}
{(555)123-4567}
{555-123-4567}
{555.123.4567}
{555 123 4567}
{1-800-555-0199}
{612 34 56 78}
{138 0013 8000}
{8-912-345-67-89}
8 {(912) 345-67-89}
1 {(555) 123-4567}
call {+49 171 1234567} today
call me at {020 7946 0958}. Thanks!
tel:{+491711234567}
tel={%2B491711234567}
/callback?phone={%2B49%20171%201234567}
/callback?phone={01711234567}&x=1
/callback?mobile={491711234567}
Phone: {0171 1234567}, ask for Ada
{0171 1234567} or {+44 20 7946 0958}
invalid number '{+44 7700 900123}'
{+49 171 1234567} 2026-11-28
Fax {030/123456-78}
""",
    "card": r"""
{4111111111111111}
{4111 1111 1111 1111}
{4111-1111-1111-1111}
{4012888888881881}
{4222222222222}
{4242424242424242}
{4242 4242 4242 4242}
{4000056655665556}
{5555555555554444}
{5555 5555 5555 4444}
{5105105105105100}
{5200828282828210}
{2223003122003222}
{2223 0031 2200 3222}
{378282246310005}
{3782 822463 10005}
{3782-822463-10005}
{371449635398431}
{3714 496353 98431}
{378734493671000}
{6011111111111117}
{6011 1111 1111 1117}
{6011000990139424}
{6011-0009-9013-9424}
{30569309025904}
{3056 930902 5904}
{38520000023237}
{36227206271667}
{3566002020360505}
{3530111333300000}
{3566 0020 2036 0505}
{6200000000000005}
{6205500000000000004}
{6304000000000000}
{6759649826438453}
{5019717010103742}
{2200770212727079}
card {4111111111111111} declined
card: {4111 1111 1111 1111}, exp 12/28
{4111 1111 1111 1111} 12/28 123
number={4111111111111111}&exp=1228
number={4111+1111+1111+1111}
/pay?n={4111%201111%201111%201111}
PAN={5555555555554444};
"{4242424242424242}"
({4242-4242-4242-4242})
visa {4012888888881881} and amex {378282246310005}
""",
    "iban": r"""
{DE89370400440532013000}
{DE89 3704 0044 0532 0130 00}
{GB29 NWBK 6016 1331 9268 19}
{GB29NWBK60161331926819}
{FR14 2004 1010 0505 0001 3M02 606}
{FR1420041010050500013M02606}
{ES91 2100 0418 4502 0005 1332}
{ES9121000418450200051332}
{IT60 X054 2811 1010 0000 0123 456}
{IT60X0542811101000000123456}
{NL91 ABNA 0417 1643 00}
{NL91ABNA0417164300}
{BE68 5390 0754 7034}
{BE68539007547034}
{AT61 1904 3002 3457 3201}
{AT611904300234573201}
{CH93 0076 2011 6238 5295 7}
{CH9300762011623852957}
{SE45 5000 0000 0583 9825 7466}
{NO93 8601 1117 947}
{NO9386011117947}
{DK50 0040 0440 1162 43}
{FI21 1234 5600 0007 85}
{PL61 1090 1014 0000 0712 1981 2874}
{PL61109010140000071219812874}
{PT50 0002 0123 1234 5678 9015 4}
{IE29 AIBK 9311 5212 3456 78}
{LU28 0019 4006 4475 0000}
{CZ65 0800 0000 1920 0014 5399}
{HU42 1177 3016 1111 1018 0000 0000}
{GR16 0110 1250 0000 0001 2300 695}
{RO49 AAAA 1B31 0075 9384 0000}
{TR33 0006 1005 1978 6457 8413 26}
{SA03 8000 0000 6080 1016 7519}
{AE07 0331 2345 6789 0123 456}
{IL62 0108 0000 0009 9999 999}
{MT84 MALT 0110 0001 2345 MTLC AST0 01S}
{de89370400440532013000}
IBAN {DE89370400440532013000} is wrong
account={DE89370400440532013000}&x=1
to {GB29 NWBK 6016 1331 9268 19} please
IBAN:{DE89 3704 0044 0532 0130 00}, BIC COBADEFF
({AT61 1904 3002 3457 3201})
""",
    "ssn": r"""
{078-05-1120}
{219-09-9999}
{457-55-5462}
{123-45-6789}
{001-01-0001}
{899-99-9999}
SSN {078-05-1120}
ssn: {123-45-6789}.
/apply?id={123-45-6789}
'{457-55-5462}' is invalid
{665-12-3456}, {667-12-3456}
({219-09-9999})
my number is {123-45-6789} ok
x={219-09-9999}&y=1
Applicant {899-99-9998}
<{123-45-6780}>
{555-12-3456}
{412-34-5678}
{321-54-9876}
{700-10-2030}
""",
    "token": r"""
/x?token={abc}
/x?token={9f86d081884c7d65}&y=1
/x?access_token={ya29.a0AfH6SMBx}
/x?accessToken={abc123}
/x?refresh_token={abc-123}
/cb#access_token={abc}&expires=3600
/cb#id_token={abc.def}
/cb?state=1&code={4%2F0AX4XfWh}
/cb?code={SplxlOBeZQQYbYS6WxSbIA1}
/verify?code={123456}
/map?key={AIzaSyA1b2c3d4}
/file?sig={nMtEIT4nR0w%2B1}
/file?signature={d41d8cd98f00b204}
/file?X-Amz-Security-Token={FwoGZXIvYXdz}
/file?X-Amz-Signature={fe5f80f77d5fa3be}
/cas?ticket={ST-1856339-aA5Yuvrxzpv8}
/api/interventions/ada/stream?ticket={01J8ZQ5T3N}
/r?to=%2Fcb%3Ftoken%3D{abc}%26x%3D1
/r?to=%2Fcb%3Faccess_token%3D{abc123}
token={abc}
token={abc}; path=/
csrf_token={f00}
csrfmiddlewaretoken={f00}
GET /x?token={abc} 401
failed: https://api.example/v1?auth_token={zzz}&q=1
{eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U}
/x/{eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N}
Authorization: Bearer {eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln}
{eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.}
jwt={eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln}
/reset?reset_token={abc}&u=1
/unsubscribe?unsubscribe-token={u-1}
/invite?inviteToken={i1}
/x?TOKEN={ABC}
/sso?jwt={abc}
/feed.ics?token={0b1c}&lang=de
/push?device-token={a1b2c3}
/#/reset?resetToken={abc}
wss://rt.example/?token={abc}
retry with code={1//0gdK9f} failed
error=denied&id_token={x.y.z}&state=7
""",
    "secret": r"""
https://{ada:hunter2}@shop.example/
https://{ada}@shop.example/x
postgres://{app:pw}@db.example:5432/shop
redis://{:pw}@cache.example:6379/0
amqp://{guest:guest}@mq.example
ftp://{ada:a%40b}@files.example/x
https://{ghp_16C7e42F292c6912E7710c838347Ae178B4a}@git.example/x.git
/login?password={hunter2}
/login?user=ada&password={hunter2}&x=1
/login?passwd={p}
/login?pwd={p}&x=1
/login?user_password={a%26b}
/login?newPassword={x}
password={hunter2}
pass: x, password={hunter2,} next
client_secret={s3cr3t}&grant_type=x
/x?api_key={k1}
/x?apikey={k1}
/x?api-key={k1}
/x?X-Api-Key={k1}
/x?secret={s}
/x?pin={1234}
/x?otp={123456}
/x?auth={abc}
/x?X-Amz-Credential={AKIAIOSFODNN7EXAMPLE/20261128}
/x?AWSAccessKeyId=1&aws_secret_access_key={wJalr}
cookie={a}
/r?to=%2Flogin%3Fpassword%3D{hunter2}%26x%3D1
passphrase={correct-horse}
/x?authorization={Basic}
""",
}

MEMBERS: Final[dict[str, str]] = {
    "email": r"""
{"email":"{ada@example.org}"}
{"user":{"mail":"{ada@example.org}"}}
{"to":["{ada@example.org}","{bob@example.org}"]}
{"a":"ada\u0040example.org"}=>{"a":"[email]"}
{"ada@example.org":1}=>{"[email]":1}
{"text":"line\n{ada@example.org}"}
{"url":"https:\/\/x.example\/?e=ada@example.org"}=>{"url":"https://x.example/?e=[email]"}
""",
    "phone": r"""
{"phone":"{01711234567}"}
{"phone":"{5551234}"}
{"mobile":"{0171 123 456}"}
{"phone_number":"{555-1234}"}
{"tel":"{49171123456}"}
{"customer":{"mobilePhone":"{07700900123}"}}
{"phone":491711234567}=>{"phone":"[phone]"}
{"number":"\u002B49 171 1234567"}=>{"number":"[phone]"}
{"note":"call {+49 171 1234567}"}
{"msisdn":"{447700900123}"}
""",
    "card": r"""
{"n":"{4111111111111111}"}
{"n":4111111111111111}=>{"n":"[card]"}
{"card_number":"{1234}"}
{"cardNumber":"{4111 1111 1111 1112}"}
{"cvv":"{123}"}
{"cvv":123}=>{"cvv":"[card]"}
{"payment":{"cc-number":"{x}"}}
{"CVC":"{000}"}
""",
    "iban": r"""
{"iban":"{DE00}"}
{"account":"{DE89 3704 0044 0532 0130 00}"}
{"bank":{"IBAN":"{DE89370400440532013000}"}}
""",
    "ssn": r"""
{"ssn":"{078051120}"}
{"ssn":78051120}=>{"ssn":"[ssn]"}
{"x":"{078-05-1120}"}
{"social_security_number":"{x}"}
""",
    "token": r"""
{"token":"{abc}"}
{"accessToken":"{abc}"}
{"access_token":"{abc}"}
{"refresh-token":"{abc}"}
{"csrfToken":"{abc}"}
{"jwt":"{abc}"}
{"a":{"b":[{"idToken":"{abc}"}]}}
{"session":"{eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln}"}
{"token":{"id":1,"v":"x"}}=>{"token":"[token]"}
{"token":[1,2]}=>{"token":"[token]"}
{"token":12345}=>{"token":"[token]"}
{"url":"/x?token={abc}"}
""",
    "secret": r"""
{"password":"{hunter2}"}
{"Password":"{x}"}
{"user_password":"{x}"}
{"newPassword":"{x}"}
{"PASSWD":"{x}"}
{"pwd":"{x}"}
{"secret":"{x}"}
{"clientSecret":"{x}"}
{"api_key":"{x}"}
{"x-api-key":"{x}"}
{"apiKey":"{x}"}
{"private_key":"{x}"}
{"authorization":"{Basic YWRhOmh1bnRlcjI=}"}
{"headers":{"Authorization":"{Bearer x}","Cookie":"{a=b}"}}
{"set-cookie":"{a=b}"}
{"cookies":{"sid":"x"}}=>{"cookies":"[secret]"}
{"credentials":{"u":"a","p":["b"]}}=>{"credentials":"[secret]"}
{"password":null,"pin":"{1234}"}
{"pin":1234}=>{"pin":"[secret]"}
{"pass\u0077ord":"{x}"}
{"url":"https:\/\/{ada:pw}@x.example"}=>{"url":"https://[secret]@x.example"}
""",
}

PLAIN: Final = r"""
/calculator
/search?q=loan
/products/shoes?color=red&size=42
/checkout?step=2&currency=EUR
/page?code=404
/page?code=DE
/list?sort_key=price
/list?key=name
/x?tokens=5
/x?next_page=2
/?code=abc
a == b
x=1
ada@
@ada
@ada.lovelace
@ada@mastodon.example
follow @ada on x.example
https://social.example/@ada
https://social.example/@ada.lovelace/1234
https://medium.example/@ada/hello-world-1a2b3c
icon@2x.png
logo@3x.webp
hero@2x-dark.png
lodash@4.17.21
react@18.2.0-beta.rc
@scope/pkg@1.0.0-next.abc
npm:left-pad@1.3.0
git@github.com:org/repo.git
3 @ 2.50
meet @ 10
user@localhost
a@b
root@db-1
{"@type":"Product"}
order 1234567
order 12345678
order 123456789
order 1234567890
order 12345678901
order 123456789012
order no. 2026-000123
order 2026-11-28-0042
invoice INV-2026-0001234
INV/2026/11/0042
ORD-123-456-7890
SKU-48213-XL
SKU 0012-3456
A1B2-C3D4-E5F6
product 978-0-306-40615-7
ISBN 0-306-40615-2
EAN 4006381333931
UPC 036000291452
GTIN 00012345600012
1764345600
1764345600000
1764345600000000
1764345600000000000
ts=1764345600123
2026-11-28
2026-11-28T17:30:56Z
2026-11-28T17:30:56.123456+01:00
2026-11-28 17:30:56
20261128T173056
28.11.2026
01.02.2026
01.02.2026 10:30
01.02.2026 10 30 00
01/02/2026
11/28/2026
01-02-2026
2026/11/28 09:30
09:30:00
17:30
UTC+01:00
GMT+0100
+0200
Sat, 28 Nov 2026 17:30:56 +0000
€ 1,234.56
1.234,56 EUR
$12,345,678.90
129.90
0.123456789
1234567.89
+12.5%
+1000000
+1,234,567.00
-0.5
1e10
3.141592653589793
12 345 678
100 200 300
10 20 30 40
1 2 3 4 5 6 7 8 9
1.2.3
4.12.3
v2.10.0-rc.1
10.0.19045.3570
Chrome/120.0.6099.109
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36
Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X)
52.520008, 13.404954
-33.868820,151.209290
+52.520008+013.404954
lat=52.520008&lng=13.404954
48.858370 2.294481
0.127758, 51.507351
192.168.0.1
10.0.0.1:8080
203.0.113.195
255.255.255.255
172.16.254.1/24
2001:0db8:85a3:0000:0000:8a2e:0370:7334
fe80::1ff:fe23:4567:890a
00:1B:44:11:3A:B7
127.0.0.1:43210
550e8400-e29b-41d4-a716-446655440000
6ba7b810-9dad-11d1-80b4-00c04fd430c8
12345678-1234-4234-8234-123456789012
00000000-0000-0000-0000-000000000000
01J8ZQ5T3N8Z0Q5T3N8Z0Q5T3N
507f1f77bcf86cd799439011
d41d8cd98f00b204e9800998ecf8427e
da39a3ee5e6b4b0d3255bfef95601890afd80709
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
9f86d081884c7d65
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
de89a3704b0044c0532d013000
8f14e45fceea167a5a36dedd4bea2543
1234567812345678
4111111111111112
4111 1111 1111 1112
0000 0000 0000 0000
1111 2222 3333 4444
9999999999999999
1541815603606036480
DE89370400440532013001
DE00 0000 0000 0000 0000 00
XX12345678901234567890
AB12CD34EF56GH78IJ90
000-12-3456
666-12-3456
900-12-3456
123-00-6789
123-45-0000
123 45 6789
12-345-6789
123-456-789
A-123-45-6789
123-45-67890
#token
the token expired
password is too short
Enter your password
forgot-password
reset_password
/account/password
/api/tokens
http_500
ECONNREFUSED 127.0.0.1:5432
Cannot read properties of undefined (reading 'length')
TypeError: x is not a function at app.js:1234:56789
chunk-vendors.8f14e45f.js:2:345678
loan_amount
interest rate 4.5% over 30 years
1440x900
1920 x 1080
16:9
size 10-12
rows 100-200 of 3000
pages 12-34, 56-78
room 555-1234
(2026) 12345
(1) 2 3
(100) 200 3000
f(0171) = 1234
Model 3 2024
iPhone 15 Pro Max
BMW 320d 2019
Flight LH 1234
LX 1234 / 28 Nov
postcode SW1A 1AA
10115 Berlin
90210-1234
98765-43210
75001 Paris 16
Av. 9 de Julio 1234
§ 0815
100 000 000
1 000 000 000
2 500 000 000
50 000
eyJ
eyJhbGci
https://shop.example:8443/x
https://shop.example/a:b@c
//cdn.example/lib@1.2/x.js
https://unpkg.example/react@18.2.0/umd/react.js
https://maps.example/@52.5200,13.4050,12z
data:image/png;base64,iVBORw0KGgo=
q=how+to+pay
utm_source=mail&utm_campaign=2026_11
color=%23ff0000
range=0-1234567
3.166 811 563 4556 e-6
1.239 841 9739
issn=0209-9683
password=null&token=undefined
credentials=None
?coupon=1&code=SUMMER24
prices 250 300 4000
order 04-1234-5678
id=0012345678
zip=01067&city=Dresden
Boston, MA 02110-1301
x**2 + 530506983*y - 27216576512
"""

PLAIN_MEMBERS: Final = r"""
{"page":"/p12","element":"next","x":10,"y":20,"effectObserved":true}
{"ts":1764345600000,"price":129.9,"id":"SKU-48213"}
{"orderId":4111111111111112,"n":1234567812345678}
{"hasPassword":true,"token":null,"secret":""}
{"tokens":1500,"tokenCount":3,"maxTokens":4096}
{"passwordLength":8,"password_strength":"weak","passwordReset":1}
{"author":"Ada","authors":["Bob"],"authenticated":true}
{"secretary":"Bob","cookieConsent":true,"cookieBanner":"shown"}
{"phone":"iPhone 15","hasPhone":true,"phoneModel":"Pixel 8"}
{"mobile":true,"isMobile":false,"hotel":"12345678"}
{"code":"404","key":"value1234567","sig":"x"}
{"card":"visa","cardType":"debit","discard":1234567890}
{"email":"","phone":"","password":""}
{"a":1e400,"n":0.10,"big":123456789012345678901234567890}
{"lat":52.520008,"lng":13.404954}
{"at":"2026-11-28T17:30:56.123Z","uuid":"550e8400-e29b-41d4-a716-446655440000"}
{"ua":"Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.6099.109"}
{"s":"\u00e9\u2019\ud83d\ude00"}
{"pinned":true,"spin":3,"shipping":1234567}
{"password":null,"issn":"0209-9683"}
{"signature":"Ada","keyboard":"de","ticketCount":2}
"""


# In JSON a mark stands within a string, so that nothing quoted is within a mark.
_MARK: Final = re.compile(r'\{([^{}"]+)\}')


class Case(NamedTuple):
    """A text, what it must become, how many values of which kind are in it, and whether it is JSON."""

    text: str
    masked: str
    kind: str
    values: int
    is_json: bool


def cases() -> Iterator[Case]:
    """All of the above."""
    for is_json, labelled in ((False, TEXTS), (True, MEMBERS)):
        for kind, lines in labelled.items():
            for line in filter(None, lines.split("\n")):
                yield _case(line, kind, is_json=is_json)
    for is_json, lines in ((False, PLAIN), (True, PLAIN_MEMBERS)):
        for line in filter(None, lines.split("\n")):
            yield Case(line, line, "", 0, is_json)


def _case(line: str, kind: str, *, is_json: bool) -> Case:
    if "=>" in line:
        text, masked = line.split("=>")
        return Case(text, masked, kind, 1, is_json)
    return Case(_MARK.sub(r"\1", line), _MARK.sub(MASKS[kind], line), kind, len(_MARK.findall(line)), is_json)


def masked(case: Case) -> tuple[str, list[str]]:
    """What a text becomes, and the kinds of what was masked."""
    found: list[str] = []
    return (masked_json if case.is_json else masked_text)(case.text, ALL, found), found


class Measured(NamedTuple):
    """How many values of a kind are there, how many were masked rightly, and how many wrongly."""

    there: int
    right: int
    wrong: int

    @property
    def precision(self) -> float:
        """The share of what was masked that had to be."""
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """The share of what had to be masked that was."""
        return self.right / max(1, self.there)


def measured() -> dict[str, Measured]:
    """By kind. A text that is not masked exactly as it must be counts as wrong, and what it holds as missed."""
    there, right, wrong = (collections.Counter[str]() for _ in range(3))
    for case in cases():
        text, found = masked(case)
        there[case.kind] += case.values
        if text == case.masked:
            right[case.kind] += case.values
        else:
            wrong.update(found)
    return {kind: Measured(there[kind], right[kind], wrong[kind]) for kind in KINDS}


def report() -> str:
    """Every text that is not masked as it must be, and the table."""
    texts = ((case, masked(case)[0]) for case in cases())
    faults = [f"{case.text!r} became {text!r}, not {case.masked!r}" for case, text in texts if text != case.masked]
    return "\n".join((*faults, "", table()))


def table() -> str:
    """Precision and recall by kind, as docs/privacy.md has them."""
    head = "| kind | values | precision | recall |\n|---|---|---|---|"
    rows = (
        f"| {kind} | {each.there} | {each.precision:.3f} | {each.recall:.3f} |" for kind, each in measured().items()
    )
    return "\n".join((head, *rows))


if __name__ == "__main__":
    sys.stdout.write(f"{report()}\n")
