"""The table of recipes: each as its difference from the defaults of `gan`, with its paper."""

from ..errors import Table
from ..nets.dcgan import DCGAN
from ..nets.mlp import MLP
from ..nets.r3gan import R3GAN
from ..nets.resnet import ResNet
from ..nets.salimans2016 import MinibatchDiscrimination, VirtualBatchNorm
from ..nets.unet import PatchGAN
from .builders import Recipe, gan, solo, translation
from .constraints import SpectralNorm, WeightClip
from .degradations import Grey, Hole, Shrunk
from .heads import Classes, ClassesAsScore, Codes, Patches, Projection, ProjectionAndClasses, ScoreAndClasses
from .losses import (
    KL,
    L1,
    R1,
    Classify,
    ContinuousCodeLoss,
    Entropy,
    FeatureMatching,
    GradientPenalty,
    Hinge,
    HistoricalAverage,
    Information,
    LeastSquares,
    Minimax,
    NonSaturating,
    Orthogonal,
    PullAway,
    Relativistic,
    SquaredError,
    Wasserstein,
)
from .measures import Accuracy
from .nodes import (
    FAKE,
    REAL,
    Batch,
    Code,
    ContinuousCode,
    Discriminated,
    Labels,
    Noise,
    Output,
    PseudoLabel,
    Reparameterised,
)
from .players import Adam, AdamW, Discriminator, Encoder, Generator, Player, RMSprop, Translator
from .schedules import Cosine, Linear
from .views import Strong

labelled, their_y = Batch("x", "labelled"), Batch("y", "labelled")
smooth = DCGAN(batchnorm=False)
real_y = Discriminated("D", labelled, their_y)
fake_y = Discriminated("D", Output("G", (Noise(), Labels())), Labels())
# Fakes of the classes of the real images beside them.
pair_y = Discriminated("D", Output("G", (Noise(), their_y)), their_y)
real_l = Discriminated("D", labelled)
fake_c = Discriminated("D", Output("G", (Noise(), Code(), ContinuousCode())))
code, code_y = Output("E", Batch()), Output("E", (labelled, their_y))
a, b = Batch("x", "a"), Batch("x", "b")
against_a = LeastSquares(real=Discriminated("D_a", a), fake=Discriminated("D_a", Output("G_a", b)))
against_b = LeastSquares(real=Discriminated("D_b", b), fake=Discriminated("D_b", Output("G_b", a)))
sngan_adam = Adam(2e-4, (0.0, 0.9))
gamma = Cosine(1.0, 0.1)
r3_adam = Adam(Cosine(1e-3, 1e-4), (0.0, 0.99))
# For minutes on a CPU: small batches, and thinner networks for larger images, so more steps in the same time.
QUICK = 16  # images
quick, quick_smooth = DCGAN(full_until=32), DCGAN(batchnorm=False, full_until=32)

_ROWS = {
    # without labels
    "mlp": gan(
        "Goodfellow et al. 2014, arXiv:1406.2661",
        NonSaturating(),
        discriminator=Discriminator(net=MLP()),
        generator=Generator(net=MLP()),
        about="fully connected: the first GAN",
    ),
    "minimax": gan(
        "Goodfellow et al. 2014, arXiv:1406.2661, eq. 1",
        Minimax(),
        discriminator=Discriminator(net=MLP()),
        generator=Generator(net=MLP()),
        about="mlp with the first GAN loss, for teaching: G learns little where D is sure",
    ),
    "dcgan": gan("Radford et al. 2016, arXiv:1511.06434", NonSaturating(), about="strided convolutions and batch norm"),
    "lsgan": gan(
        "Mao et al. 2017, arXiv:1611.04076", LeastSquares(), about="dcgan with squared errors instead of probabilities"
    ),
    "wgan": gan(
        "Arjovsky et al. 2017, arXiv:1701.07875",
        Wasserstein(),
        d_steps=2,
        discriminator=Discriminator(constraint=WeightClip(0.01)),
        optim=RMSprop(Linear(1e-3)),
        about="D measures a distance, its weights clipped; 2 steps of D for each of G",
    ),
    "wgan-gp": gan(
        "Gulrajani et al. 2017, arXiv:1704.00028",
        Wasserstein(),
        d=(GradientPenalty(10.0),),
        d_steps=5,
        discriminator=Discriminator(net=smooth),
        optim=Adam(Linear(2e-3), (0.0, 0.9)),
        about="the same, a penalty on D's slope instead of clipping; 5 steps of D for each of G",
    ),
    "sngan": gan(
        "Miyato et al. 2018, arXiv:1802.05957",
        Hinge(),
        discriminator=Discriminator(net=smooth, constraint=SpectralNorm()),
        optim=sngan_adam,
        about="hinge loss, D's layers divided by their largest singular value",
    ),
    "improved": gan(
        "Salimans et al. 2016, arXiv:1606.03498, section 3",
        NonSaturating(smoothing=0.1),
        g=(FeatureMatching(), HistoricalAverage()),
        discriminator=Discriminator(net=MinibatchDiscrimination(DCGAN())),
        generator=Generator(net=VirtualBatchNorm(DCGAN())),
        optim=Adam(Linear(1e-3)),
        batch=32,
        about="dcgan with five improved techniques: G matches features, D compares images of a batch, and more",
    ),
    "infogan": gan(
        "Chen et al. 2016, arXiv:1606.03657; that D also sorts real images by code is ours",
        NonSaturating(fake=fake_c),
        d=(
            Classify(of=fake_c, label=Code()),
            ContinuousCodeLoss(0.1, of=fake_c),
            Information(),
            Classify(2.0, of=Discriminated("D", Strong()), label=PseudoLabel(REAL)),
        ),
        g=(Classify(of=fake_c, label=Code()), ContinuousCodeLoss(0.1, of=fake_c)),
        discriminator=Discriminator(head=Codes()),
        generator=Generator(codes=10, continuous=2),
        g_optim=Adam(1e-3),
        about="dcgan whose codes come to mean something, without labels",
    ),
    "sagan": gan(
        "Zhang et al. 2019, arXiv:1805.08318",
        Hinge(),
        discriminator=Discriminator(net=ResNet(attention=True), constraint=SpectralNorm()),
        generator=Generator(net=ResNet(attention=True), constraint=SpectralNorm()),
        optim=Adam(4e-4, (0.0, 0.9)),
        about="residual networks with attention, spectral norm in both",
    ),
    "r3gan": gan(
        "Huang et al. 2024, arXiv:2501.05441, on the networks of Radford et al. 2016",
        Relativistic(),
        d=(R1(gamma), R1(gamma, at=FAKE)),
        discriminator=Discriminator(net=smooth),
        optim=r3_adam,
        about="dcgan with real and fake compared in pairs and two penalties on D's slope",
    ),
    "r3gan-quick": gan(
        "Huang et al. 2024, arXiv:2501.05441, as r3gan; penalties in every fourth step: Karras et al. 2020, "
        "arXiv:1912.04958, section 3.1; the batch is ours",
        Relativistic(),
        d=(R1(gamma, every=4), R1(gamma, every=4, at=FAKE)),
        discriminator=Discriminator(net=quick_smooth),
        generator=Generator(net=quick),
        optim=r3_adam,
        batch=QUICK,
        about="r3gan for minutes on a CPU: small batches, so more steps, with penalties in every fourth",
    ),
    "r3gan-deep": gan(
        "Huang et al. 2024, arXiv:2501.05441",
        Relativistic(),
        d=(R1(gamma), R1(gamma, at=FAKE)),
        discriminator=Discriminator(net=R3GAN()),
        generator=Generator(net=R3GAN()),
        optim=Adam(Cosine(2e-3, 2e-4), (0.0, 0.99)),
        batch=16,
        about="the same with its own networks, which have no norm at all: slow without a GPU",
    ),
    # with labels
    "cgan": gan(
        "Mirza & Osindero 2014, arXiv:1411.1784, with the discriminator of Miyato & Koyama 2018, arXiv:1802.05637",
        NonSaturating(real=real_y, fake=fake_y),
        discriminator=Discriminator(head=Projection()),
        generator=Generator(labels=True),
        about="draws the class that is asked for; the label enters G as numbers, D by projection",
    ),
    "acgan": gan(
        "Odena et al. 2017, arXiv:1610.09585",
        NonSaturating(real=real_l, fake=Discriminated("D", fake_y.of)),
        d=(Classify(of=real_l, label=their_y), Classify(of=Discriminated("D", fake_y.of), label=Labels())),
        g=(Classify(of=Discriminated("D", fake_y.of), label=Labels()),),
        discriminator=Discriminator(head=ScoreAndClasses()),
        generator=Generator(labels=True),
        about="D also names the class",
    ),
    "projection": gan(
        "Miyato & Koyama 2018, arXiv:1802.05637",
        Hinge(real=real_y, fake=fake_y),
        discriminator=Discriminator(net=smooth, head=Projection(), constraint=SpectralNorm()),
        generator=Generator(labels=True),
        optim=sngan_adam,
        about="sngan with labels by projection",
    ),
    "biggan": gan(
        "Brock et al. 2019, arXiv:1809.11096",
        Hinge(real=real_y, fake=fake_y),
        g=(Orthogonal(),),
        d_steps=2,
        discriminator=Discriminator(net=ResNet(attention=True), head=Projection(), constraint=SpectralNorm()),
        generator=Generator(net=ResNet(attention=True, layered=True), labels=True),
        optim=Adam(1e-3, (0.0, 0.9)),
        about="sagan with labels and noise in every block, orthogonal weights; no spectral norm in G",
    ),
    "r3gan-class": gan(
        "Huang et al. 2024, arXiv:2501.05441, on the networks of Radford et al. 2016",
        Relativistic(real=real_y, fake=pair_y),
        d=(R1(gamma, at=real_y), R1(gamma, at=pair_y)),
        discriminator=Discriminator(net=smooth, head=Projection()),
        generator=Generator(labels=True),
        optim=r3_adam,
        about="r3gan for classes",
    ),
    "r3gan-class-quick": gan(
        "Huang et al. 2024, arXiv:2501.05441, as r3gan-class; penalties in every fourth step: Karras et al. 2020, "
        "arXiv:1912.04958, section 3.1; classes named by D: Odena et al. 2017, "
        "arXiv:1610.09585; batch and weights are ours",
        Relativistic(real=real_y, fake=pair_y),
        d=(R1(gamma, every=4, at=real_y), R1(gamma, every=4, at=pair_y), Classify(of=real_y, label=their_y)),
        g=(Classify(0.3, of=pair_y, label=their_y),),
        discriminator=Discriminator(net=quick_smooth, head=ProjectionAndClasses()),
        generator=Generator(net=quick, labels=True),
        optim=r3_adam,
        batch=QUICK,
        about="r3gan-quick for classes, which D also names",
    ),
    # few labels
    "semi": gan(
        "Salimans et al. 2016, arXiv:1606.03498, section 5",
        FeatureMatching(),
        d=(Classify(of=real_l, label=their_y),),
        discriminator=Discriminator(net=smooth, head=ClassesAsScore()),
        optim=Adam(3e-4),
        d_average=0.999,
        about="D names the class of few labelled images and tells all images from fakes",
    ),
    "bad-gan": gan(
        "Dai et al. 2017, arXiv:1705.09783",
        FeatureMatching(),
        d=(Classify(of=real_l, label=their_y), Entropy(0.1)),
        g=(PullAway(0.1),),
        discriminator=Discriminator(net=smooth, head=ClassesAsScore()),
        optim=Adam(3e-4),
        d_average=0.999,
        about="the same, with D sure of real images and fakes spread out",
    ),
    "classifier": solo(
        "LeCun et al. 1998, doi:10.1109/5.726791",
        (Discriminator(head=Classes()),),
        (Classify(of=real_l, label=their_y),),
        AdamW(Linear(1e-3)),
        monitored=(Accuracy(of=real_l, label=their_y),),
        about="an ordinary classifier, no generator",
    ),
    # no discriminator
    "autoencoder": solo(
        "Hinton & Salakhutdinov 2006, doi:10.1126/science.1127647",
        (Encoder(outputs=64), Generator()),
        (SquaredError(made=Output("G", code)),),
        about="small codes from which images can be made again, no discriminator; not to be sampled",
    ),
    "vae": solo(
        "Kingma & Welling 2014, arXiv:1312.6114",
        (Encoder(), Generator()),
        (SquaredError(made=Output("G", Reparameterised(code))), KL(of=code)),
        about="an autoencoder whose codes are noise",
    ),
    "cvae": solo(
        "Kingma et al. 2014, arXiv:1406.5298; Sohn et al. 2015",
        (Encoder(labels=True), Generator(labels=True)),
        (SquaredError(made=Output("G", (Reparameterised(code_y), their_y)), target=labelled), KL(of=code_y)),
        about="the same for classes",
    ),
    # from image to image
    "pix2pix": translation(
        "Isola et al. 2017, arXiv:1611.07004",
        Batch("source", "pairs"),
        Batch("x", "pairs"),
        batch=8,
        about="an image from another, learnt from pairs (--source)",
    ),
    "cyclegan": Recipe(
        "Zhu et al. 2017, arXiv:1703.10593",
        (
            Player(
                "D",
                (Discriminator("D_a", PatchGAN(), Patches()), Discriminator("D_b", PatchGAN(), Patches())),
                (against_a, against_b),
            ),
            Player(
                "G",
                (Translator("G_a"), Translator("G_b")),
                (
                    against_a,
                    against_b,
                    L1(10.0, made=Output("G_a", Output("G_b", a)), target=a),
                    L1(10.0, made=Output("G_b", Output("G_a", b)), target=b),
                    L1(5.0, made=Output("G_a", a), target=a),
                    L1(5.0, made=Output("G_b", b), target=b),
                ),
                average=0.999,
            ),
        ),
        batch=4,
        about="from one kind of image to another and back, without pairs (--source)",
    ),
    "inpaint": translation("Pathak et al. 2016, arXiv:1604.07379", Hole(), mask=True, about="fills holes"),
    "upscale": translation(
        "Ledig et al. 2017, arXiv:1609.04802",
        Shrunk(),
        weight=0.1,
        residual=True,
        about="twice as many pixels each way",
    ),
    "upscale-4x": translation(
        "Ledig et al. 2017, arXiv:1609.04802",
        Shrunk(factor=4),
        weight=0.1,
        residual=True,
        about="four times as many pixels each way",
    ),
    "restyle": translation(
        "Isola et al. 2017, arXiv:1611.07004, section 4 (colour)", Grey(), residual=True, about="colours grey images"
    ),
}

RECIPES = Table("recipe", _ROWS, columns=("about",))
