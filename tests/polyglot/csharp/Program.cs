// Runs the cases of ../cases.yaml with the client that Grpc.Tools generates. Reads a case a line from standard input,
// {"case", "address", "resource", "with"}, and prints what it saw.

using System.Text.Json;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;
using Holdfast.V1;
using Polyglot;
using static Holdfast.V1.HoldResponse;

var names = new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };
while (await Console.In.ReadLineAsync() is { } line)
{
    object seen;
    try
    {
        var asked = JsonSerializer.Deserialize<Asked>(line, names)!;
        using var channel = GrpcChannel.ForAddress($"http://{asked.Address}");
        seen = await new Cases(channel, asked.Resource, asked.With).Run(asked.Case);
    }
    catch (Exception problem) // whatever it is, it is told, and the next case goes on
    {
        seen = new { problem = problem.ToString() };
    }
    Console.WriteLine(JsonSerializer.Serialize(seen));
}

record Asked(string Case, string Address, string Resource, With With);

/// <summary>What the cases are given; each looks at its own.</summary>
record With(
    int TtlMs, int LongerTtlMs, int WaitMs, int DeadlineMs, int NoticeMs, int HeartbeatMs, int GraceMs, int BookmarkMs,
    int Leases, ulong Heartbeats, Dictionary<string, string> Metadata, Dictionary<string, string> Updated);

class Cases(ChannelBase channel, string resource, With with)
{
    private readonly LockService.LockServiceClient locks = new(channel);
    private readonly AdminService.AdminServiceClient admin = new(channel);

    public Task<object> Run(string name) => name switch
    {
        "try" => Try(),
        "contended" => Contended(),
        "wait" => Wait(),
        "wait_in_vain" => WaitInVain(),
        "deadline" => Deadline(),
        "retry" => Retry(),
        "superseded" => Superseded(),
        "extend" => Extend(),
        "lost" => Lost(),
        "release" => Release(),
        "keep_alive" => KeepAlive(),
        "hold" => HoldBehind(),
        "hold_contended" => HoldContended(),
        "hold_lost" => HoldLost(),
        "hold_silent" => HoldSilent(),
        "hold_cancelled" => HoldCancelled(),
        "hold_reattached" => HoldReattached(),
        "watch" => Watch(),
        "watch_resumed" => WatchResumed(),
        "bad_fields" => BadFields(),
        "no_quorum" => NoQuorum(),
        "token" => Token(),
        _ => throw new ArgumentException($"no case is called {name}"),
    };

    private Holder Named(string name) => new(locks, resource, name);

    /// <summary>Looks until somebody waits for the resource, and says how many.</summary>
    private async Task<uint> UntilWaiting()
    {
        while (true)
        {
            var answer = await Named("").Acquire(1000);
            if (answer.Held.Waiters > 0) return answer.Held.Waiters;
            await Task.Delay(20);
        }
    }

    /// <summary>`lease` or `held`.</summary>
    private static string Outcome(AcquireResponse answer) => answer.OutcomeCase.ToString().ToLowerInvariant();

    private async Task<object> Try()
    {
        var me = Named("me");
        var sent = Clock.Now();
        var answer = await me.Acquire(with.TtlMs);
        var lease = answer.Lease;
        return new
        {
            outcome = Outcome(answer),
            asked_lease_id = me.LeaseId,
            lease_id = lease.LeaseId,
            token = lease.FencingToken.ToString(),
            ttl_ms = (int)lease.Ttl.ToTimeSpan().TotalMilliseconds,
            votes = lease.Votes,
            masters = lease.Masters,
            reliable_ms = (int)(Clock.Deadline(sent, lease) - Clock.Now()).TotalMilliseconds,
        };
    }

    private async Task<object> Contended()
    {
        var first = Named("first");
        await first.Acquire(with.TtlMs, metadata: with.Metadata);
        var answer = await Named("second").Acquire(with.TtlMs);
        var held = answer.Held;
        return new
        {
            outcome = Outcome(answer),
            holders_token = first.Token.ToString(),
            holder = held.Holder,
            metadata = held.Metadata,
            token = held.FencingToken.ToString(),
            remaining_ms = (int)held.Remaining.ToTimeSpan().TotalMilliseconds,
            waiters = held.Waiters,
        };
    }

    private async Task<object> Wait()
    {
        var (first, second) = (Named("first"), Named("second"));
        await first.Acquire(with.TtlMs);
        var waiting = second.Acquire(with.TtlMs, with.WaitMs);
        uint waiters = await UntilWaiting();
        await first.Release();
        string outcome = Outcome(await waiting);
        return new { waiters, outcome, first_token = first.Token.ToString(), token = second.Token.ToString() };
    }

    private async Task<object> WaitInVain()
    {
        await Named("first").Acquire(with.TtlMs);
        var answer = await Named("second").Acquire(with.TtlMs, with.WaitMs);
        return new { outcome = Outcome(answer), holder = answer.Held.Holder };
    }

    private async Task<object> Deadline()
    {
        await Named("first").Acquire(with.TtlMs);
        var within = TimeSpan.FromMilliseconds(with.DeadlineMs);
        var answer = await Named("second").Acquire(with.TtlMs, with.WaitMs, within: within);
        return new { outcome = Outcome(answer), holder = answer.Held.Holder };
    }

    private async Task<object> Retry()
    {
        var me = Named("me");
        string first = Outcome(await me.Acquire(with.TtlMs));
        string firstToken = me.Token.ToString();
        string second = Outcome(await me.Acquire(with.TtlMs));
        string token = me.Token.ToString();
        string release = await me.Release();
        return new { outcomes = new[] { first, second }, first_token = firstToken, token, release };
    }

    private async Task<object> Superseded()
    {
        var (first, second) = (Named("first"), Named("second"));
        await first.Acquire(with.TtlMs);
        var older = Told.Failure(second.Acquire(with.TtlMs, with.WaitMs));
        await UntilWaiting();
        var newer = second.Acquire(with.TtlMs, with.WaitMs);
        var error = await older;
        await first.Release();
        return new { older = Told.Error(error), newer = Outcome(await newer) };
    }

    private async Task<object> Extend()
    {
        var me = Named("me");
        await me.Acquire(with.TtlMs);
        var lease = await me.Extend(with.LongerTtlMs, with.Metadata);
        var held = (await Named("other").Acquire(with.TtlMs)).Held;
        await me.Extend(with.LongerTtlMs, clear: true);
        var heldAgain = (await Named("other").Acquire(with.TtlMs)).Held;
        return new
        {
            first_token = me.Token.ToString(),
            token = lease.FencingToken.ToString(),
            ttl_ms = (int)lease.Ttl.ToTimeSpan().TotalMilliseconds,
            metadata = held.Metadata,
            cleared = heldAgain.Metadata,
        };
    }

    private async Task<object> Lost()
    {
        var (me, other) = (Named("me"), Named("other"));
        var sent = Clock.Now();
        var lease = (await me.Acquire(with.TtlMs)).Lease;
        await Task.Delay(Clock.Deadline(sent, lease) - TimeSpan.FromMilliseconds(with.NoticeMs) - Clock.Now());
        var atNotice = await me.Standing();
        await other.Acquire(30_000, with.WaitMs);
        var afterwards = await me.Standing();
        return new
        {
            at_notice = Told.Name(atNotice.Standing),
            first_token = me.Token.ToString(),
            token = other.Token.ToString(),
            afterwards = Told.Name(afterwards.Standing),
            extend = Told.Error(await Told.Failure(me.Extend(with.TtlMs))),
        };
    }

    private async Task<object> Release()
    {
        var (me, other) = (Named("me"), Named("other"));
        await me.Acquire(with.TtlMs);
        var (others, own, again) = (await other.Release(), await me.Release(), await me.Release());
        await other.Acquire(with.TtlMs);
        return new { others, own, again, without_token = await other.Release(token: 0) };
    }

    private async Task<object> KeepAlive()
    {
        var holders = Enumerable.Range(0, with.Leases).Select(n => new Holder(locks, $"{resource}/{n}", "me")).ToList();
        foreach (var holder in holders) await holder.Acquire(with.TtlMs);
        using var call = locks.KeepAlive(deadline: Holder.Until(Holder.Bound));

        async Task<KeepAliveResponse> Answer()
        {
            if (!await call.ResponseStream.MoveNext()) throw new EndOfStreamException();
            return call.ResponseStream.Current;
        }

        async Task<List<KeepAliveResponse>> RenewAll()
        {
            for (int n = 0; n < holders.Count; n++)
            {
                var request = new KeepAliveRequest { Sequence = (ulong)n, Extend = holders[n].Renewal(with.TtlMs) };
                await call.RequestStream.WriteAsync(request);
            }
            var answers = new List<KeepAliveResponse>();
            while (answers.Count < holders.Count) answers.Add(await Answer());
            return answers;
        }

        var renewed = (await RenewAll()).Where(answer => answer.Lease != null).ToList();
        await holders[^1].Release();
        var again = await RenewAll();
        var bad = new ExtendRequest { LeaseId = "x", FencingToken = 1 };
        await call.RequestStream.WriteAsync(new KeepAliveRequest { Extend = bad });
        var error = (await Answer()).Error;
        return new
        {
            renewed = renewed.Count,
            with_their_tokens = renewed.Count(it => it.Lease.FencingToken == holders[(int)it.Sequence].Token),
            renewed_again = again.Count(answer => answer.Lease != null),
            lost = again.Where(answer => answer.Lost != null).Select(answer => Told.Name(answer.Lost.Reason)),
            error = new { code = Told.Code((StatusCode)error.Code), reason = error.Reason },
        };
    }

    private async Task<object> HoldBehind()
    {
        var (first, second) = (Named("first"), Named("second"));
        await first.Acquire(with.TtlMs);
        using var hold = await Hold.Open(second, with.TtlMs, with.WaitMs);
        var queued = (await hold.Expect(EventOneofCase.Queued)).Queued;
        await first.Release();
        var granted = (await hold.Expect(EventOneofCase.Granted)).Granted;
        var renewed = new List<ulong>();
        var reliable = TimeSpan.Zero;
        for (ulong sequence = 1; sequence <= with.Heartbeats; sequence++)
        {
            await hold.Beat(sequence);
            var answer = await hold.Expect(EventOneofCase.Renewed);
            renewed.Add(answer.Sequence);
            var sent = hold.Sent[answer.Sequence];
            reliable = Clock.Deadline(sent, answer.Renewed) - Clock.Now();
        }
        await hold.Say(new HoldRequest { Release = new HoldRelease() });
        return new
        {
            position = queued.Position,
            behind = queued.Held.Holder,
            heartbeat_interval_ms = (int)queued.HeartbeatInterval.ToTimeSpan().TotalMilliseconds,
            first_token = first.Token.ToString(),
            token = granted.FencingToken.ToString(),
            renewed,
            reliable_ms = (int)reliable.TotalMilliseconds,
            released = Told.Name((await hold.Expect(EventOneofCase.Released)).Released),
            status = await hold.Status(),
        };
    }

    private async Task<object> HoldContended()
    {
        await Named("first").Acquire(with.TtlMs);
        using var hold = await Hold.Open(Named("second"), with.TtlMs);
        var contended = (await hold.Expect(EventOneofCase.Contended)).Contended;
        return new { contended = contended.Holder, status = await hold.Status() };
    }

    private async Task<object> HoldLost()
    {
        using var hold = await Hold.Open(Named("me"), with.TtlMs);
        var token = (await hold.Expect(EventOneofCase.Granted)).Granted.FencingToken;
        var request = new ForceReleaseRequest { Resource = resource, FencingToken = token };
        var forced = await admin.ForceReleaseAsync(request, deadline: Holder.Until(Holder.Bound));
        var lost = hold.Expect(EventOneofCase.Lost);
        for (ulong sequence = 1; !lost.IsCompleted; sequence++)
        {
            await Task.WhenAny(lost, hold.Beat(sequence)); // none can be sent after the end
            await Task.WhenAny(lost, Task.Delay(with.HeartbeatMs));
        }
        return new
        {
            forced = Told.Name(forced.Outcome),
            lost = Told.Name((await lost).Lost.Reason),
            status = await hold.Status(),
        };
    }

    private async Task<object> HoldSilent()
    {
        using var hold = await Hold.Open(Named("me"), with.TtlMs);
        await hold.Expect(EventOneofCase.Granted);
        var atRisk = new List<string>();
        var response = await hold.Next();
        for (; response.EventCase != EventOneofCase.Lost; response = await hold.Next())
        {
            atRisk.Add(Told.Name(response.AtRisk.Reason));
        }
        return new { at_risk = atRisk, lost = Told.Name(response.Lost.Reason), status = await hold.Status() };
    }

    private async Task<object> HoldCancelled()
    {
        var (me, other) = (Named("me"), Named("other"));
        var hold = await Hold.Open(me, with.TtlMs);
        var token = (await hold.Expect(EventOneofCase.Granted)).Granted.FencingToken;
        var waiting = other.Acquire(with.TtlMs, with.WaitMs);
        await UntilWaiting();
        hold.Dispose();
        string outcome = Outcome(await waiting);
        return new { outcome, first_token = token.ToString(), token = other.Token.ToString() };
    }

    private async Task<object> HoldReattached()
    {
        var me = Named("me");
        var hold = await Hold.Open(me, with.TtlMs, graceMs: with.GraceMs);
        var token = (await hold.Expect(EventOneofCase.Granted)).Granted.FencingToken;
        hold.Dispose();
        using var again = await Hold.Open(me, with.TtlMs, graceMs: with.GraceMs, token: token);
        var granted = (await again.Expect(EventOneofCase.Granted)).Granted;
        await again.Say(new HoldRequest { Release = new HoldRelease() });
        return new
        {
            first_token = token.ToString(),
            token = granted.FencingToken.ToString(),
            released = Told.Name((await again.Expect(EventOneofCase.Released)).Released),
        };
    }

    private AsyncServerStreamingCall<WatchLeaderResponse> Watching(WatchLeaderRequest request)
    {
        request.Resource = resource;
        return locks.WatchLeader(request, deadline: Holder.Until(Holder.Bound));
    }

    private static async Task<object> NextState(AsyncServerStreamingCall<WatchLeaderResponse> watch)
    {
        if (!await watch.ResponseStream.MoveNext()) throw new EndOfStreamException();
        return Told.State(watch.ResponseStream.Current);
    }

    private async Task<object> Watch()
    {
        var (first, second) = (Named("first"), Named("second"));
        using var watch = Watching(new WatchLeaderRequest());
        var states = new List<object> { await NextState(watch) };
        await first.Acquire(with.TtlMs, metadata: with.Metadata);
        states.Add(await NextState(watch));
        await first.Extend(with.TtlMs, with.Updated);
        states.Add(await NextState(watch));
        await first.Release();
        states.Add(await NextState(watch));
        await second.Acquire(with.TtlMs);
        states.Add(await NextState(watch));
        return new { states, token = first.Token.ToString(), second_token = second.Token.ToString() };
    }

    private async Task<object> WatchResumed()
    {
        var first = Named("first");
        await first.Acquire(with.TtlMs);
        var bookmarks = Holder.Millis(with.BookmarkMs);
        using var watch = Watching(new() { AfterFencingToken = first.Token, BookmarkInterval = bookmarks });
        var resumed = new[] { await NextState(watch), await NextState(watch) };
        using var later = Watching(new() { AfterFencingToken = first.Token + 1 });
        return new { token = first.Token.ToString(), resumed, ahead = await NextState(later) };
    }

    private async Task<object> BadFields()
    {
        var request = new AcquireRequest { Ttl = Holder.Millis(with.TtlMs), Wait = Holder.Millis(with.WaitMs) };
        var error = await Told.Failure(locks.AcquireAsync(request, deadline: Holder.Until(Holder.Bound)).ResponseAsync);
        return new
        {
            error = Told.Error(error),
            domain = Told.Detail<ErrorInfo>(error).Domain,
            fields = Told.Detail<BadRequest>(error).FieldViolations.Select(violation => violation.Field).Order(),
        };
    }

    private async Task<object> NoQuorum()
    {
        var me = Named("me");
        var error = await Told.Failure(me.Acquire(with.TtlMs));
        return new
        {
            error = Told.Error(error),
            masters = Told.Detail<ErrorInfo>(error).Metadata.Keys.Order(),
            retry_ms = (int)Told.Detail<RetryInfo>(error).RetryDelay.ToTimeSpan().TotalMilliseconds,
            retry_trailer_ms = int.Parse(error.Trailers.GetValue("holdfast-retry-after-ms")!),
            release = await me.Release(),
        };
    }

    private async Task<object> Token()
    {
        var me = Named("me");
        await me.Acquire(with.TtlMs);
        var own = await me.Standing();
        var before = await me.Standing(me.Token - 1);
        return new
        {
            token = me.Token.ToString(),
            newest = own.NewestFencingToken.ToString(),
            own = Told.Name(own.Standing),
            one_before = Told.Name(before.Standing),
        };
    }
}
