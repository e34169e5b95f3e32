"""HTML as newsletters have it, and as they should not: each with how many of its links are to be tracked."""

HEAD = b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'

NEWSLETTERS: dict[str, tuple[bytes, int]] = {
    "plain": (b'<html><body><p>Hello <a href="https://a.example/x">you</a></p></body></html>', 1),
    "no body": (b'<p>Hello <a href="https://a.example/">you</a></p>', 1),
    "nothing": (b"", 0),
    "text alone": (b"Just words, 3 < 4 and a <3 for you", 0),
    "unquoted": (b"<a href=https://a.example/x?y=1&z=2 target=_blank>x</a><a href=http://b.example/>y</a>", 2),
    "single quoted": (b"<a href='https://a.example/it'>x</a>", 1),
    "upper case": (b"<A CLASS=BTN HREF=HTTPS://A.EXAMPLE/UP>X</A>", 1),
    "blanks around =": (b'<a\n  href\t =\r\n "https://a.example/" >x</a>', 1),
    "blanks in the value": (b'<a href="  https://a.example/ \n">x</a>', 1),
    "slash instead of a blank": (b'<a/href="https://a.example/"/class=x>y</a>', 1),
    "first href counts": (b'<a href="mailto:a@b.example" href="https://a.example/">x</a>', 0),
    "first href counts, the other way": (b'<a href="https://a.example/" href="mailto:a@b.example">x</a>', 1),
    "no blank between attributes": (b'<a class="x"href="https://a.example/"id="y">x</a>', 1),
    "a quote too many": (b'<a class="x"" href="https://a.example/" ">x</a> <a href="https://b.example/">y</a>', 2),
    "a > in a value": (b'<a title="a > b" href="https://a.example/">x</a><img alt=">" src=x>', 1),
    "tag in a value": (b"<p title=\"<a href='https://a.example/'>\">x</p>", 0),
    "quote that never ends": (b'<p>x <a href="https://a.example/>y</a> and all the rest', 0),
    "tag that never ends": (b"<p>x <a href=https://a.example/ class=", 0),
    "other schemes": (
        b'<a href="mailto:a@b.example">m</a><a href="tel:+1">t</a><a href="#top">h</a><a href="/rel">r</a>'
        b'<a href="//a.example/">s</a><a href="javascript:alert(1)">j</a><a href="ftp://a.example/">f</a><a href>e</a>'
        b'<a href="data:text/html,x">d</a><a href="cid:x">c</a><a href="sms:1">s</a><a name=x>n</a>',
        0,
    ),
    "not RFC 3986": (
        b'<a href="https://a.example/a b">1</a><a href="https://a.example/{{name}}">2</a><a href="https:///x">3</a>'
        b'<a href="https://a.example/\xc3\xa9">4</a><a href="https://a.example/%zz">5</a><a href="https://a.example/|">6</a>'
        b'<a href="https://a.example/[x]">7</a><a href="https://a.example/#a#b">8</a><a href="https:a.example">9</a>'
        b'<a href="https://a.example\\x">10</a><a href="https://a.ex\nample/">11</a><a href="https://:80/">12</a>',
        0,
    ),
    "odd but RFC 3986": (
        b'<a href="https://u:p@a.example:8443/a;b=c/(d)/~e?f=g&amp;h=/?:@!$\'*+,;#i/j?k">1</a>'
        b'<a href="http://192.0.2.1">2</a><a href="https://a.example?x">3</a><a href="https://a.example#y">4</a>'
        b'<a href="https://xn--bcher-kva.example/%C3%A9">5</a>',
        5,
    ),
    "entities": (
        b'<a href="https&#58;//a.example/?a=1&amp;b=2&copy=3&lt=4&#38;c=5&#x26;d=6&amp;amp;e=7">x</a>'
        b'<a href="https://a.example/?q=&quot;">y</a><a href="https://a.example/?q=&copy;">z</a>'
        b'<a href="https://a.example/?q=&notit;&unknown;&;&a">v</a>',
        2,
    ),
    "comments": (
        b'<!-- <a href="https://a.example/">x</a> --><!--><a href="https://b.example/">y</a><!---->'
        b'<a href="https://c.example/">z</a><!--->\n<a href="https://d.example/">v</a><!-- x --!><a href="https://e.example/">w</a>'
        b"<!--!> <a href=https://f.example/> -->",
        4,
    ),
    "comment that never ends": (b'<a href="https://a.example/">x</a><!-- <a href="https://b.example/">y</a>', 1),
    "MSO conditionals": (
        HEAD
        + b'<html xmlns:v="urn:schemas-microsoft-com:vml"><head><!--[if gte mso 9]><xml><o:OfficeDocumentSettings/>'
        b'</xml><![endif]--></head><body><!--[if mso]><v:roundrect href="https://a.example/mso"><w:anchorlock/>'
        b'<center><a href="https://a.example/mso2">x</a></center></v:roundrect><![endif]--><![if !mso]>'
        b'<a href="https://a.example/all">Shop</a><![endif]><!--[if !mso]><!--><a href="https://a.example/modern">Shop</a>'
        b"<!--<![endif]--></body></html>",
        2,
    ),
    "VML outside of comments": (
        b'<v:rect href="https://a.example/"><v:fill src="https://a.example/x.png"/></v:rect>',
        0,
    ),
    "script": (
        b'<script>var a = "<a href=\'https://a.example/\'>"; if (a<b) {}</script><a href="https://b.example/">x</a>'
        b'<script><!-- <script> "</script>" <a href="https://c.example/"> --></script><a href="https://d.example/">y</a>'
        b'<script type="application/ld+json">{"url": "<a href=https://e.example/>"}</SCRIPT ><a href="https://f.example/">z</a>',
        3,
    ),
    "style": (
        b'<style>a[href="https://a.example/"]{} <a href="https://b.example/"> </style><a href="https://c.example/">x</a>',
        1,
    ),
    "title and textarea": (
        b'<title><a href="https://a.example/">x</a></title><textarea><a href="https://b.example/">y</a></textarea>'
        b'<a href="https://c.example/">z</a><xmp><a href="https://d.example/"></xmp><noframes><a href=https://e.example/></noframes>',
        1,
    ),
    "noscript": (b'<noscript><a href="https://a.example/">x</a></noscript>', 1),
    "plaintext": (b'<a href="https://a.example/">x</a><plaintext><a href="https://b.example/">y</a>', 1),
    "svg": (
        b'<svg viewBox="0 0 1 1"><title>x</title><style>a{}</style><a href="https://a.example/"><text>x</text></a>'
        b'<![CDATA[ <a href="https://b.example/"> ]]></svg><![CDATA[ <a href="https://c.example/">z</a> ]]>',
        1,
    ),
    "other elements with links": (
        b'<link href="https://a.example/x.css"><area href="https://a.example/"><base href="https://a.example/">'
        b'<abbr href="https://a.example/">x</abbr><form action="https://a.example/"><img src="https://a.example/x">',
        0,
    ),
    "nested tables": (
        b"<table><tr><td>" * 12
        + b'<a href="https://a.example/"><img src="https://a.example/i.png" alt="x"></a>'
        + b"</td></tr></table>" * 12,
        1,
    ),
    "a link in a table's wrong place": (
        b'<table><a href="https://a.example/">x</a><tr><td><a href="https://b.example/">y</table>',
        2,
    ),
    "anchors in anchors": (
        b'<a href="https://a.example/">x<a href="https://b.example/">y</a></a><p><a href="https://c.example/"><p>z',
        3,
    ),
    "template language": (
        b'{{#if a}}<a href="{{url}}">x</a>{{/if}}<a {{attributes}} href="https://a.example/">y</a>'
        b"<a href='https://a.example/?u={{u}}'>z</a><%= x %><?php echo '<a href=x>' ?>"
        b'<a href="%%unsubscribe%%">u</a>',
        1,
    ),
    "huge data URI": (
        b'<img src="data:image/png;base64,' + b"iVBORw0KGgo" * 20_000 + b'"><a href="https://a.example/">x</a>',
        1,
    ),
    "several bodies": (
        b'<html><body><a href="https://a.example/">x</a></body></html><html><body>more</body></html>trailing words',
        1,
    ),
    "body's end in a comment": (b'<body><a href="https://a.example/">x</a><!-- </body> --></body ><!-- </body> -->', 1),
    "no track": (
        b'<a ses:no-track href="https://a.example/">1</a><a href="https://b.example/" ses:no-track>2</a>'
        b'<a href=https://c.example/ SES:NO-TRACK="x">3</a><a href=https://d.example/ ses:no-track/>4</a>'
        b"<a\nses:no-track\nhref=https://e.example/>5</a><p ses:no-track>6</p>"
        b"<a href=https://f.example/ ses:no-track=>7</a>",
        0,
    ),
    "link tags": (
        b'<a ses:tags="k:v;k2:v2;" href="https://a.example/">1</a><a href="https://b.example/" ses:tags=k:v>2</a>'
        b"<a ses:tags='k:v'href='https://c.example/'>3</a><a ses:tags ses:tags=x href=https://d.example/>4</a>"
        b'<a class=x ses:tags="a:b" =y href=https://e.example/>5</a>',
        5,
    ),
    "namespaces of Office": (
        b'<o:p><a style="mso-x:y" href="https://a.example/"><span>x</span></a></o:p><st1:place>y</st1:place>',
        1,
    ),
    "a word begins with a": (
        b'<abc href="https://a.example/"><a-b href="https://a.example/"><a: href="https://a.example/">x',
        0,
    ),
    "NUL and other controls": (
        b'<a\0 href="https://a.example/">x</a><a href="https://b.example/\0">y</a><a \x0bhref=https://c.example/>z',
        0,
    ),
    "bare line ends": (b"<a\rhref='https://a.example/'\n>x</a>\n\r", 1),
    "many links": (b'<a href="https://a.example/x">x</a>' * 300, 250),
}
