// The terminal where nothing describes one: what xterm and all that followed it understand. In the
// form that ncurses takes out of the environment, made by `tic` and `infocmp -0 -Q2 -q` of
//
//   memspy-ansi|what xterm and its like understand,
//     am, bce, mir, msgr, xenl,
//     colors#8, cols#80, lines#24, pairs#64, it#8,
//     bel=^G, bold=\E[1m, civis=\E[?25l, clear=\E[H\E[2J, cnorm=\E[?25h,
//     cr=\r, csr=\E[%i%p1%d;%p2%dr, cub=\E[%p1%dD, cub1=^H, cud=\E[%p1%dB, cud1=\n,
//     cuf=\E[%p1%dC, cuf1=\E[C, cup=\E[%i%p1%d;%p2%dH, cuu=\E[%p1%dA, cuu1=\E[A,
//     dim=\E[2m, ed=\E[J, el=\E[K, home=\E[H, ind=\n, kbs=^?, kcub1=\EOD, kcud1=\EOB,
//     kcuf1=\EOC, kcuu1=\EOA, kent=\EOM, op=\E[39;49m, rev=\E[7m, ri=\EM, rmcup=\E[?1049l,
//     rmkx=\E[?1l\E>, setab=\E[4%p1%dm, setaf=\E[3%p1%dm, sgr0=\E[m, smcup=\E[?1049h,
//     smkx=\E[?1h\E=, rmso=\E[27m, smso=\E[7m, ht=^I,
#pragma once

namespace memspy::cli {

inline constexpr const char* kPlainTerminalName = "memspy-ansi";
inline constexpr const char* kPlainTerminal =
    "b64:GgEvAB0ADwBpAfIAbWVtc3B5LWFuc2l8d2hhdCB4dGVybSBhbmQgaXRzIGxpa2UgdW5kZXJzdGFuZAAAAQAA"
    "AQAAAAAAAAAAAQEAAAAAAAAAAAAAAAAAAVAACAAYAP__________________________CABAAP__AAACAAQA__8V"
    "AB0AIQD_____JQA2ADgAPABDAP__RQBMAP__UAD__________________1QAWQD__2IA________ZwBsAP______"
    "_3EAdQD_____fgD_____________________________hAD_____________hgD_________________________"
    "____________________igD_______-OAP_______5IAlgCeAP______________________________________"
    "______-mAP_______68AuAD__8EA_____________________________________8oAzAD________PAP______"
    "_________________________________________________________________________9EA____________"
    "________________________________________________________________________________________"
    "________________________________________________________________________________________"
    "________________________________________________________________________________________"
    "_________________________________________________________________________9UA____________"
    "________________________________________________________________________________________"
    "_______________________________________________________________eAOgABwANABtbJWklcDElZDsl"
    "cDIlZHIAG1tIG1sySgAbW0sAG1tKABtbJWklcDElZDslcDIlZEgACgAbW0gAG1s_MjVsAAgAG1s_MjVoABtbQwAb"
    "W0EAG1sxbQAbWz8xMDQ5aAAbWzJtABtbN20AG1s3bQAbW20AG1s_MTA0OWwAG1syN20AfwAbT0IAG09EABtPQwAb"
    "T0EAG1s_MWwbPgAbWz8xaBs9ABtbJXAxJWRCABtbJXAxJWREABtbJXAxJWRDABtbJXAxJWRBAAoAG00ACQAbT00A"
    "G1szOTs0OW0AG1szJXAxJWRtABtbNCVwMSVkbQA=";

}  // namespace memspy::cli
